#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sanitize.sh SRCDIR TEST.. - the tests once more in programs that AddressSanitizer and
# UBSan look at, then in programs that ThreadSanitizer looks at; each in a build folder of
# its own, ./sanitize-address and ./sanitize-thread.
#
#   SANITIZERS="thread"   only that
#   PASTED_KILL_CYCLES    kills per ring and class (4)
#   EACH                  tests/damage/damage flips one bit of so many (8)
#
# Left out: the mutants and the rules of the house, which are about the sources; the
# machines, which have no sanitizers' libraries; the million crash states, of which
# tests/crash/crash visits a part.  ThreadSanitizer does without the long tests over the
# simulators too, minutes of CPU: neither they nor what they call start a second thread.
set -u
src=$1
shift
tests_of() {
	kind=$1
	shift
	for t; do
		case $kind:$t in
		*/mutants/* | */tidy/* | */vm/* | */states.sh) ;;
		thread:*/crash/crash | thread:*/damage/damage) ;;
		thread:*/test_segment | thread:*/test_seg_scan) ;;
		*) echo "$t" ;;
		esac
	done
}
make=${MAKE:-make}
unset MAKEFLAGS MAKELEVEL MFLAGS
export PASTED_TEST_SLOW="${PASTED_TEST_SLOW:-5}" PASTED_KILL_CYCLES="${PASTED_KILL_CYCLES:-4}" \
	EACH="${EACH:-8}"
export ASAN_OPTIONS="detect_stack_use_after_return=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
export TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:${TSAN_OPTIONS:-}"
failed=

for kind in ${SANITIZERS:-address,undefined thread}; do
	dir=sanitize-${kind%%,*}
	tests=$(tests_of "$kind" "$@" | tr '\n' ' ')
	mkdir -p "$dir"
	(
		cd "$dir" || exit 1
		[ -e Makefile ] || "$src/configure" -q --enable-werror --enable-sanitizers="$kind" \
			--with-kmod=no CFLAGS='-O1 -g' || exit 1
		"$make" -s -j "${JOBS:-$(nproc)}" || exit 1
		"$make" -s -k -j "${JOBS:-$(nproc)}" check TESTS="$tests"
	) || failed="$failed $kind"
done
[ -z "$failed" ] || { echo "failed under:$failed"; exit 1; }
