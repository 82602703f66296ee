# SPDX-License-Identifier: BSD-2-Clause
# Flipped bits and missing files over the simulators (damage.c, gone.c), damaged files for pasted-recover (files.py).
check_PROGRAMS += %D%/damage
QUICK_TESTS += %D%/damage
%C%_damage_SOURCES = %D%/damage.c %D%/kinds.c %D%/kinds.h tests/crash/world.c \
	tests/crash/world.h tests/crash/model.c tests/crash/model.h
%C%_damage_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/crash
%C%_damage_LDADD = libsim.a $(WAL_LIBS)
check_PROGRAMS += %D%/gone
QUICK_TESTS += %D%/gone
%C%_gone_SOURCES = %D%/gone.c %D%/kinds.c %D%/kinds.h tests/crash/world.c \
	tests/crash/world.h tests/crash/model.c tests/crash/model.h
%C%_gone_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/crash
%C%_gone_LDADD = libsim.a $(WAL_LIBS)
SCRIPT_TESTS += %D%/files.py
# Lines of memory that cannot be read.
check_PROGRAMS += %D%/lines
QUICK_TESTS += %D%/lines
%C%_lines_SOURCES = %D%/lines.c %D%/kinds.c %D%/kinds.h tests/crash/world.c \
	tests/crash/world.h tests/crash/model.c tests/crash/model.h
%C%_lines_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/crash
%C%_lines_LDADD = libsim.a $(WAL_LIBS)
