# SPDX-License-Identifier: BSD-2-Clause
# System calls of the real server that fail, one at a time (nth.py, tests/README.md).
LONG_TESTS += %D%/nth.py %D%/stall.py %D%/slowly.py
SCRIPT_TESTS += %D%/lane.py
check_DATA += %D%/nth.so
%D%/nth.so: %D%/nth.c
	$(AM_V_at)$(MKDIR_P) %D%
	$(AM_V_GEN)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN_CFLAGS) $(URING_CFLAGS) -O1 -g -pthread \
		-shared -fPIC -o $@ $(srcdir)/%D%/nth.c -ldl
EXTRA_DIST += %D%/nth.c %D%/preload.py
CLEANFILES += %D%/nth.so
