# SPDX-License-Identifier: BSD-2-Clause
# Fuzzers (libFuzzer, clang).  make check replays each corpus; make fuzz runs them
# for FUZZ_SECONDS, new inputs go to the build folder.
check_PROGRAMS += %D%/replay_http
TESTS += %D%/replay_http
%C%_replay_http_SOURCES = %D%/fuzz_http.c
%C%_replay_http_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit -DFUZZ_REPLAY
%C%_replay_http_LDADD = libpasted.a $(LLHTTP_LINK)
EXTRA_DIST += %D%/corpus-http

FUZZ_CC = clang
FUZZ_SECONDS = 60
fuzz: $(LLHTTP_LINK)
	$(MKDIR_P) fuzz-http
	$(FUZZ_CC) -std=gnu11 $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit $(LLHTTP_CFLAGS) -g -O1 \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -o fuzz_http \
		$(srcdir)/%D%/fuzz_http.c $(srcdir)/src/http.c $(srcdir)/src/http_check.c $(LLHTTP_LINK)
	./fuzz_http -max_len=1000 -max_total_time=$(FUZZ_SECONDS) fuzz-http $(srcdir)/%D%/corpus-http
CLEANFILES += fuzz_http
.PHONY: fuzz
