# SPDX-License-Identifier: BSD-2-Clause
# Hostile clients; with what tests/e2e/harness.py needs, and says.
SCRIPT_TESTS += %D%/slow.py %D%/many.py %D%/vanish.py %D%/differential.py
EXTRA_DIST += %D%/hostile.py %D%/peers.py

check_PROGRAMS += %D%/print_table
QUICK_HELPERS += %D%/print_table
%C%_print_table_SOURCES = %D%/print_table.c
%C%_print_table_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
%C%_print_table_LDADD =
