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
