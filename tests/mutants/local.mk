# SPDX-License-Identifier: BSD-2-Clause
# Mutants: wal/ and src/ compiled once more with -DPASTED_MUTANT, under the same tests.
# run.py leaves out one named operation at a time and wants a test to fail for each
# (tests/README.md).  A test is one line here and its name in run.py.
if WITH_MUTANTS
check_LIBRARIES += libmutant.a
libmutant_a_SOURCES = $(libwal_a_SOURCES) $(libpasted_a_SOURCES)
nodist_libmutant_a_SOURCES = $(nodist_libpasted_a_SOURCES)
libmutant_a_CPPFLAGS = $(AM_CPPFLAGS) -DPASTED_MUTANT
libmutant_a_CFLAGS = $(libwal_a_CFLAGS) $(libpasted_a_CFLAGS)
MUTANT_LIBS = libmutant.a libsim.a $(PARSER_LINK) $(URING_LIBS) $(BSD_LIBS) $(PMEM_LIBS) $(CMOCKA_LIBS)

# Without flags of their own they share the objects of the tests they are.
MUTANT_TESTS =
MUTANT_TESTS += %D%/crash
%C%_crash_SOURCES = $(tests_crash_crash_SOURCES)
%C%_crash_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/server_rule
%C%_server_rule_SOURCES = $(tests_crash_server_rule_SOURCES)
%C%_server_rule_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/codec
%C%_codec_SOURCES = %D%/filter.c tests/unit/test_codec.c
%C%_codec_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/flushes
%C%_flushes_SOURCES = %D%/filter.c tests/unit/test_flushes.c
%C%_flushes_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/follow
%C%_follow_SOURCES = %D%/filter.c tests/unit/test_follow.c
%C%_follow_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/gone
%C%_gone_SOURCES = $(tests_damage_gone_SOURCES)
%C%_gone_CPPFLAGS = $(tests_damage_gone_CPPFLAGS)
%C%_gone_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/http
%C%_http_SOURCES = %D%/filter.c $(tests_unit_test_http_SOURCES)
%C%_http_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/identity
%C%_identity_SOURCES = %D%/filter.c tests/unit/test_identity.c
%C%_identity_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/lane
%C%_lane_SOURCES = %D%/filter.c tests/unit/test_lane.c
%C%_lane_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/results
%C%_results_SOURCES = %D%/filter.c $(tests_unit_test_results_SOURCES)
%C%_results_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/ring_socket
%C%_ring_socket_SOURCES = %D%/filter.c $(tests_unit_test_ring_socket_SOURCES)
%C%_ring_socket_CPPFLAGS = $(tests_unit_test_ring_socket_CPPFLAGS)
%C%_ring_socket_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/ring_uring
%C%_ring_uring_SOURCES = %D%/filter.c $(tests_unit_test_ring_uring_SOURCES)
%C%_ring_uring_CPPFLAGS = $(tests_unit_test_ring_uring_CPPFLAGS)
%C%_ring_uring_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/scan
%C%_scan_SOURCES = %D%/filter.c tests/unit/test_scan.c
%C%_scan_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/seg_faults
%C%_seg_faults_SOURCES = %D%/filter.c $(tests_unit_test_seg_faults_SOURCES)
%C%_seg_faults_LDFLAGS = $(tests_unit_test_seg_faults_LDFLAGS)
%C%_seg_faults_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/seg_read
%C%_seg_read_SOURCES = %D%/filter.c tests/unit/test_seg_read.c tests/unit/locks.h tests/unit/seg_model.h
%C%_seg_read_LDFLAGS = $(tests_unit_test_seg_read_LDFLAGS)
%C%_seg_read_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/seg_scan
%C%_seg_scan_SOURCES = %D%/filter.c tests/unit/test_seg_scan.c tests/unit/seg_model.h
%C%_seg_scan_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/seams
%C%_seams_SOURCES = %D%/filter.c tests/unit/test_seams.c
%C%_seams_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/segment
%C%_segment_SOURCES = %D%/filter.c tests/unit/test_segment.c tests/unit/seg_model.h
%C%_segment_LDFLAGS = $(tests_unit_test_segment_LDFLAGS)
%C%_segment_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/storefile
%C%_storefile_SOURCES = %D%/filter.c tests/unit/test_storefile.c
%C%_storefile_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/store
%C%_store_SOURCES = %D%/filter.c $(tests_unit_test_store_SOURCES)
%C%_store_LDADD = $(MUTANT_LIBS)
MUTANT_TESTS += %D%/walfile
%C%_walfile_SOURCES = %D%/filter.c tests/unit/test_walfile.c
%C%_walfile_LDADD = $(MUTANT_LIBS)
check_PROGRAMS += $(MUTANT_TESTS)
LONG_TESTS += %D%/run.py
endif
EXTRA_DIST += %D%/names.txt %D%/killers.txt %D%/run.py %D%/wild.py %D%/edits.py %D%/equivalent.txt

# Every test against every mutant: how many kill each.
mutants: $(check_LIBRARIES) $(check_PROGRAMS)
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) $(PYTHON3) $(srcdir)/%D%/run.py --all
.PHONY: mutants

# Edits that nobody chose, drawn by a seed: hours, and no part of make check.
mutants-wild: all
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) WILD_TESTS='$(TESTS)' WILD_DATA='$(check_DATA)' WILD_HELPERS='$(QUICK_HELPERS)' \
		$(PYTHON3) $(srcdir)/%D%/wild.py --seed $(SEED) --count $(or $(COUNT),60) $(WILD)
.PHONY: mutants-wild
