# SPDX-License-Identifier: BSD-2-Clause
# Measurements, not part of make check: make bench, make bench-quick.  BENCH names rows.
EXTRA_PROGRAMS = %D%/post_probe %D%/fdatasync_probe
%C%_post_probe_SOURCES = %D%/post_probe.c
%C%_post_probe_LDADD =
%C%_fdatasync_probe_SOURCES = %D%/fdatasync_probe.c
%C%_fdatasync_probe_LDADD =
EXTRA_PROGRAMS += %D%/http_bench
%C%_http_bench_SOURCES = %D%/http_bench.c
%C%_http_bench_LDADD = libpasted.a $(PARSER_LINK)
# Not a row of the table: what a ring costs by itself (ring_bench uring 50 3).
EXTRA_PROGRAMS += %D%/ring_bench
%C%_ring_bench_SOURCES = %D%/ring_bench.c
%C%_ring_bench_LDADD = libpasted.a libwal.a $(URING_LIBS)
EXTRA_DIST += %D%/run.py %D%/loads.py %D%/post.lua %D%/instructions.py
CLEANFILES += $(EXTRA_PROGRAMS)

bench: all $(EXTRA_PROGRAMS)
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) $(PYTHON3) $(srcdir)/%D%/run.py $(BENCH)
bench-quick: all $(EXTRA_PROGRAMS)
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) $(PYTHON3) $(srcdir)/%D%/run.py --quick $(BENCH)
# Also not a row: what does not depend on how quiet the machine is.
bench-instructions: all
	$(AM_V_at)$(PYTHON3) $(srcdir)/%D%/instructions.py ./pasted $(CLASS)
.PHONY: bench-quick bench-instructions
