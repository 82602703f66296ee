# SPDX-License-Identifier: BSD-2-Clause
# End-to-end tests against a running server, with python3's own library only; the
# folder's README is tests/README.md.  PASTED_KILL_CYCLES, PASTED_TEST_RINGS,
# PASTED_TEST_CLASSES, PASTED_TEST_ONLY, PASTED_TEST_KEEP: see harness.py.
E2E_TESTS = \
	%D%/basic.py %D%/config.py %D%/wire.py %D%/bodies.py %D%/restart.py \
	%D%/tool.py %D%/retention.py %D%/pressure.py %D%/full.py %D%/idle.py \
	%D%/deadlines.py %D%/drain.py
LONG_TESTS += %D%/kill.py %D%/hour.py
SCRIPT_TESTS += $(E2E_TESTS)
EXTRA_DIST += %D%/harness.py %D%/ledger.py %D%/books.py
