#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The crash test in two processes, large enough for a million states.  Every number it
# prints last is of this run.  SEED, LIMIT, SAMPLES, USE, AGAIN, DEPTH: crash.c;
# STATES: how many must have been visited.
set -u
crash=${top_builddir:-.}/tests/crash/crash
want=${STATES:-1000000}
export SEED="${SEED:-1}" LIMIT="${LIMIT:-640}" SAMPLES="${SAMPLES:-150}" USE="${USE:-8}" \
	AGAIN="${AGAIN:-4}" DEPTH="${DEPTH:-2}" PARTS=2
dir=$(mktemp -d ./states.XXXXXX) || exit 99
trap 'rm -rf "$dir"' EXIT

# Others run beside it, and some of them look at the clock.
PART=0 nice "$crash" >"$dir/0" 2>&1 & first=$!
PART=1 nice "$crash" >"$dir/1" 2>&1; second=$?
wait $first; first=$?
cat "$dir/0" "$dir/1"
[ $first -eq 0 ] && [ $second -eq 0 ] || exit 1
# "P crash points (A with every state), S states (I inside recovery), .. seed N, C s CPU"
cat "$dir/0" "$dir/1" | awk -v want="$want" '
	/^[0-9]+ crash points/ {
		points += $1; every += substr($4, 2); states += $8; inside += substr($10, 2)
		cpu += $(NF - 2)
	}
	END {
		printf "in all: %d crash points (%d with every state), %d states " \
		       "(%d inside recovery), seed %s, %.0f s CPU\n", points, every, states,
		       inside, ENVIRON["SEED"], cpu
		if (states < want)
			printf "FAILED: %d states were wanted\n", want
		exit states < want
	}'
