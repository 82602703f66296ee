# SPDX-License-Identifier: BSD-2-Clause
# www/: the page, compiled into the server.
