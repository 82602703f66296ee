# SPDX-License-Identifier: BSD-2-Clause
# End-to-end tests against a running server: SCRIPT_TESTS += %D%/name.py
