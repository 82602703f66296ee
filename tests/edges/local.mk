# SPDX-License-Identifier: BSD-2-Clause
# The edges: how a program is started, who reads it, what happens beside it to its files and
# its disk.  With what tests/e2e/harness.py needs, and says.
check-edges:
	$(AM_V_at)$(MAKE) $(AM_MAKEFLAGS) check TESTS="`echo $(SCRIPT_TESTS) | tr ' ' '\n' | grep edges/ | tr '\n' ' '`"
.PHONY: check-edges
SCRIPT_TESTS += %D%/descriptors.py
SCRIPT_TESTS += %D%/unread.py
SCRIPT_TESTS += %D%/retain_age.py
EXTRA_DIST += %D%/edges.py
SCRIPT_TESTS += %D%/readers.py
SCRIPT_TESTS += %D%/full_start.py
SCRIPT_TESTS += %D%/no_room.py
SCRIPT_TESTS += %D%/bad_memory.py
SCRIPT_TESTS += %D%/classes.py
EXTRA_DIST += %D%/disks.py
SCRIPT_TESTS += %D%/moved.py
SCRIPT_TESTS += %D%/strange.py
SCRIPT_TESTS += %D%/gone.py
SCRIPT_TESTS += %D%/wal_bond.py
SCRIPT_TESTS += %D%/doors.py
SCRIPT_TESTS += %D%/clients.py
SCRIPT_TESTS += %D%/limits.py
SCRIPT_TESTS += %D%/absence.py
check_DATA += %D%/eio.so
%D%/eio.so: %D%/eio.c
	$(AM_V_at)$(MKDIR_P) %D%
	$(AM_V_GEN)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN_CFLAGS) -O1 -g -shared -fPIC -o $@ $(srcdir)/%D%/eio.c -ldl
EXTRA_DIST += %D%/eio.c
CLEANFILES += %D%/eio.so
SCRIPT_TESTS += %D%/parting.py
SCRIPT_TESTS += %D%/started.py
check_DATA += %D%/clock.so
%D%/clock.so: %D%/clock.c
	$(AM_V_at)$(MKDIR_P) %D%
	$(AM_V_GEN)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN_CFLAGS) -O1 -g -shared -fPIC -o $@ $(srcdir)/%D%/clock.c -ldl
EXTRA_DIST += %D%/clock.c %D%/testclock.py
CLEANFILES += %D%/clock.so
SCRIPT_TESTS += %D%/clock.py
