# SPDX-License-Identifier: BSD-2-Clause
# Fuzzers (libFuzzer: clang and its compiler-rt).  make check replays each corpus;
# make fuzz runs each target for FUZZ_SECONDS (run.sh).
FUZZ_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit -I$(top_srcdir)/tests/crash
FUZZ_REPLAYS = %D%/replay_http %D%/replay_json %D%/replay_config %D%/replay_names \
	%D%/replay_wal %D%/replay_segment %D%/replay_recover %D%/replay_ring
check_PROGRAMS += $(FUZZ_REPLAYS)
QUICK_TESTS += $(FUZZ_REPLAYS)

%C%_replay_http_SOURCES = %D%/fuzz_http.c %D%/replay.c %D%/fuzz.h
%C%_replay_http_CPPFLAGS = $(FUZZ_CPPFLAGS) -DFUZZ_NAME='"http"' -DFUZZ_VARIANTS=4
%C%_replay_http_LDADD = libpasted.a $(PARSER_LINK)
%C%_replay_json_SOURCES = %D%/fuzz_json.c %D%/replay.c %D%/fuzz.h
%C%_replay_json_CPPFLAGS = $(FUZZ_CPPFLAGS) -DFUZZ_NAME='"json"'
%C%_replay_json_LDADD = libwal.a
%C%_replay_config_SOURCES = %D%/fuzz_config.c %D%/replay.c %D%/fuzz.h
%C%_replay_config_CPPFLAGS = $(FUZZ_CPPFLAGS) -DFUZZ_NAME='"config"'
%C%_replay_config_LDADD = libpasted.a $(WAL_LIBS)
%C%_replay_names_SOURCES = %D%/fuzz_names.c %D%/replay.c %D%/fuzz.h
%C%_replay_names_CPPFLAGS = $(FUZZ_CPPFLAGS) -DFUZZ_NAME='"names"'
%C%_replay_names_LDADD = libpasted.a $(WAL_LIBS)
%C%_replay_wal_SOURCES = %D%/fuzz_wal.c %D%/replay.c %D%/fuzz.h
%C%_replay_wal_CPPFLAGS = $(FUZZ_CPPFLAGS) -DFUZZ_NAME='"wal"'
%C%_replay_wal_LDADD = $(WAL_LIBS)
%C%_replay_segment_SOURCES = %D%/fuzz_segment.c %D%/replay.c %D%/fuzz.h
%C%_replay_segment_CPPFLAGS = $(FUZZ_CPPFLAGS) -DFUZZ_NAME='"segment"'
%C%_replay_segment_LDADD = libsim.a $(WAL_LIBS)
%C%_replay_recover_SOURCES = %D%/fuzz_recover.c %D%/replay.c %D%/fuzz.h tests/crash/world.c \
	tests/crash/world.h tests/crash/model.c tests/crash/model.h
%C%_replay_recover_CPPFLAGS = $(FUZZ_CPPFLAGS) -DFUZZ_NAME='"recover"'
%C%_replay_recover_LDADD = libsim.a $(WAL_LIBS)
%C%_replay_ring_SOURCES = %D%/fuzz_ring.c %D%/replay.c %D%/fuzz.h
%C%_replay_ring_CPPFLAGS = $(FUZZ_CPPFLAGS) -DFUZZ_NAME='"ring"'
%C%_replay_ring_LDADD =
EXTRA_DIST += %D%/corpus %D%/run.sh

fuzz: $(PARSER_LINK)
	CPPFLAGS='$(FUZZ_CPPFLAGS) $(PMEM_CFLAGS) $(URING_CFLAGS) $(PARSER_CFLAGS) $(BSD_CFLAGS)' \
	LIBS='$(PARSER_LINK) $(URING_LIBS) $(BSD_LIBS) $(PMEM_LIBS)' \
	sh $(srcdir)/%D%/run.sh $(srcdir)
clean-local:
	-rm -rf fuzzing sanitize-address sanitize-thread tests/mutants/wild
.PHONY: fuzz
