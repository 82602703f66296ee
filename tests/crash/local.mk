# SPDX-License-Identifier: BSD-2-Clause
# Crash tests over the simulators of both seams.
#
# states.sh visits a million states, make crash-long ten times as many; crash alone a
# fraction, in half a minute.
# SEED, LIMIT, SAMPLES, USE, AGAIN, DEPTH in the environment: crash.c.
check_PROGRAMS += %D%/crash
QUICK_TESTS += %D%/crash
LONG_TESTS += %D%/states.sh
%C%_crash_SOURCES = %D%/crash.c %D%/explore.c %D%/explore.h %D%/world.c %D%/world.h \
	%D%/model.c %D%/model.h
%C%_crash_LDADD = libsim.a $(WAL_LIBS)
crash-long: %D%/crash
	$(AM_V_at)for seed in $${SEEDS:-11 12 13 14 15 16 17 18 19 20}; do \
		top_builddir='$(abs_top_builddir)' SEED=$$seed STATES=1 \
			sh '$(top_srcdir)/tests/crash/states.sh' || exit 1; \
	done
.PHONY: crash-long
# The promise from the request's bytes to the reply's: SEED, SEEDS, RULE.
check_PROGRAMS += %D%/server_rule
QUICK_TESTS += %D%/server_rule
%C%_server_rule_SOURCES = %D%/server_rule.c %D%/rule_ring.c %D%/rule_client.c %D%/rule.h \
	%D%/model.c %D%/model.h
%C%_server_rule_LDADD = $(SRC_LIBS) libsim.a $(WAL_LIBS)
