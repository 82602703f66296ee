# SPDX-License-Identifier: BSD-2-Clause
# Crash tests over the simulators of both seams.
