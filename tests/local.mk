# SPDX-License-Identifier: BSD-2-Clause
# tests/: unit programs exit 0 or not; scripts also 77 (skipped, with the reason
# as their last line) and 99 (could not be set up).  Each finds in its environment
# top_srcdir, top_builddir (both absolute), PASTED and PASTED_RECOVER.
#
# A unit test is one line in unit/local.mk: UNIT_TESTS += %D%/test_name
UNIT_TESTS =
UNIT_LIBS = $(SRC_LIBS) libsim.a $(WAL_LIBS) $(CMOCKA_LIBS)
SCRIPT_TESTS =
check_DATA =
# Begun first, in this order: what takes minutes runs beside the others.
LONG_TESTS =
QUICK_TESTS =
# Programs that SCRIPT_TESTS start.
QUICK_HELPERS =

include %D%/sim/local.mk
include %D%/unit/local.mk
include %D%/crash/local.mk
include %D%/vm/local.mk
include %D%/e2e/local.mk
include %D%/faults/local.mk
include %D%/damage/local.mk
include %D%/mutants/local.mk
include %D%/tidy/local.mk
include %D%/bench/local.mk
include %D%/fuzz/local.mk
include %D%/hostile/local.mk
include %D%/edges/local.mk
include %D%/golden/local.mk

TESTS += $(LONG_TESTS) $(QUICK_TESTS)
if HAVE_CMOCKA
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
endif
TESTS += $(SCRIPT_TESTS)

TEST_EXTENSIONS = .sh .py
SH_LOG_COMPILER = sh
PY_LOG_COMPILER = $(PYTHON3)
AM_TESTS_ENVIRONMENT = \
	top_srcdir='$(abs_top_srcdir)'; export top_srcdir; \
	top_builddir='$(abs_top_builddir)'; export top_builddir; \
	PASTED='$(abs_top_builddir)/pasted'; export PASTED; \
	PASTED_RECOVER='$(abs_top_builddir)/pasted-recover'; export PASTED_RECOVER; \
	MANDOC='$(MANDOC)'; export MANDOC; \
	CC='$(CC)'; export CC; \
	SANITIZE_CFLAGS='$(SANITIZE_CFLAGS)'; export SANITIZE_CFLAGS; \
	PYTHONDONTWRITEBYTECODE=1; export PYTHONDONTWRITEBYTECODE;
EXTRA_DIST += $(LONG_TESTS) $(SCRIPT_TESTS) %D%/README.md %D%/setup.sh %D%/skips.txt %D%/sanitize.sh

# All but the long ones, and without what only those need (the mutants' programs).
check-quick: all $(check_DATA) $(QUICK_TESTS) $(UNIT_TESTS) $(QUICK_HELPERS)
	$(AM_V_at)$(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS='$(QUICK_TESTS) $(UNIT_TESTS) $(SCRIPT_TESTS)'
.PHONY: check-quick

# All of it under the sanitizers, in folders below this one: half an hour and more.
check-sanitizers:
	$(AM_V_at)MAKE='$(MAKE)' sh $(srcdir)/%D%/sanitize.sh '$(abs_srcdir)' $(TESTS)
.PHONY: check-sanitizers
