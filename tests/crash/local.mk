# SPDX-License-Identifier: BSD-2-Clause
# Crash tests over the simulators of both seams.
#
# make check runs the small one; SEED, LIMIT, SAMPLES, AGAIN, DEPTH in the
# environment make it larger (crash.c).
check_PROGRAMS += %D%/crash
TESTS += %D%/crash
%C%_crash_SOURCES = %D%/crash.c %D%/explore.c %D%/explore.h %D%/world.c %D%/world.h \
	%D%/model.c %D%/model.h
%C%_crash_LDADD = libwalsim.a $(WAL_LIBS)
# The promise from the request's bytes to the reply's: SEED, SEEDS, RULE.
check_PROGRAMS += %D%/server_rule
TESTS += %D%/server_rule
%C%_server_rule_SOURCES = %D%/server_rule.c %D%/rule_ring.c %D%/rule_client.c %D%/rule.h \
	%D%/model.c %D%/model.h
%C%_server_rule_LDADD = $(SRC_LIBS) libwalsim.a $(WAL_LIBS)
