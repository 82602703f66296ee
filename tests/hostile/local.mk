# SPDX-License-Identifier: BSD-2-Clause
# Hostile clients; with what tests/e2e/harness.py needs, and says.
SCRIPT_TESTS += %D%/slow.py %D%/many.py %D%/vanish.py
EXTRA_DIST += %D%/hostile.py
