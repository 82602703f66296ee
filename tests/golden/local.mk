# SPDX-License-Identifier: BSD-2-Clause
# Stores of earlier commits (golden.py); make.sh adds those of another.
check_PROGRAMS += %D%/write
%C%_write_SOURCES = %D%/write.c
%C%_write_LDADD = $(WAL_LIBS)
QUICK_HELPERS += %D%/write
SCRIPT_TESTS += %D%/golden.py
EXTRA_DIST += %D%/make.sh %D%/f0569a4 %D%/a85aba0 %D%/1d9b0a1
