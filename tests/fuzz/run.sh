#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# run.sh SRCDIR - builds every fuzz target with libFuzzer in ./fuzzing and runs it.
#
#   FUZZ_CC       clang, with its compiler-rt
#   FUZZ_TARGETS  only these: "http json config names wal segment recover ring"
#   FUZZ_SECONDS  for each (60)
#   FUZZ_FLAGS    more options of libFuzzer
#   FUZZ_MERGE    non-empty: afterwards take into the tree what its corpus does not cover
#
# New inputs are kept in fuzzing/corpus-NAME, what fails in fuzzing/NAME-*; replay that
# with tests/fuzz/replay_NAME FILE.
set -eu
top=$1
cc=${FUZZ_CC:-clang}
flags="-std=gnu11 -g -O1 -pthread -fsanitize=address,undefined -fno-sanitize-recover=undefined"
mkdir -p fuzzing/obj
failed=

for c in "$top"/wal/*/*.c "$top"/src/*.c "$top"/src/*/*.c "$top"/tests/sim/*.c "$top"/tests/crash/world.c "$top"/tests/crash/model.c; do
	obj=fuzzing/obj/$(basename "$c" .c).o
	case $c in
	*/pasted.c | */recover_main.c) continue ;;
	esac
	if [ -z "$(find "$obj" -newer "$c" 2>/dev/null)" ] ||
	   [ -n "$(find "$top/wal" "$top/src" "$top/tests/sim" "$top/tests/crash" -name '*.h' -newer "$obj")" ]; then
		# shellcheck disable=SC2086
		$cc $flags -fsanitize=fuzzer-no-link ${CPPFLAGS:-} -DPACKAGE_VERSION='"fuzzed"' -c -o "$obj" "$c"
	fi
done
rm -f fuzzing/libfuzzed.a
ar crs fuzzing/libfuzzed.a fuzzing/obj/*.o

for name in ${FUZZ_TARGETS:-http json config names wal segment recover ring}; do
	mkdir -p "fuzzing/corpus-$name"
	# shellcheck disable=SC2086
	$cc $flags -fsanitize=fuzzer ${CPPFLAGS:-} -o "fuzzing/fuzz_$name" "$top/tests/fuzz/fuzz_$name.c" \
		fuzzing/libfuzzed.a ${LIBS:-}
	max=4096
	[ "$name" = http ] && max=1000
	[ "$name" = names ] && max=256
	# shellcheck disable=SC2086
	"fuzzing/fuzz_$name" -max_len=$max -timeout=30 -rss_limit_mb=4000 -print_final_stats=1 \
		-max_total_time="${FUZZ_SECONDS:-60}" -artifact_prefix="fuzzing/$name-" ${FUZZ_FLAGS:-} \
		"fuzzing/corpus-$name" "$top/tests/fuzz/corpus/$name" || failed="$failed $name"
	if [ -n "${FUZZ_MERGE:-}" ]; then
		"fuzzing/fuzz_$name" -merge=1 "$top/tests/fuzz/corpus/$name" "fuzzing/corpus-$name"
	fi
done
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
