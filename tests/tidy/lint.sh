# SPDX-License-Identifier: BSD-2-Clause
# make lint: static analysis of src/ and wal/, whose warnings are errors here, and the
# manual pages.  Takes CC, LIB_CFLAGS, CPPCHECK and MANDOC from make.
set -u
cd "$top_srcdir" || exit 99
bad=0
flags="-std=gnu11 -D_GNU_SOURCE -DPACKAGE_VERSION=\"0\" -Isrc -Iwal -I. $LIB_CFLAGS"

if $CC --version | grep -qi gcc; then
	# gcc 12 takes memory that a struct in another one owns for leaked: leaks are
	# looked for by the sanitizers.
	for f in $(find src wal -name '*.c' | sort); do
		# shellcheck disable=SC2086 # flags
		$CC $flags -O2 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
			-Wformat=2 -Wundef -fanalyzer -Wno-analyzer-malloc-leak -Werror -c "$f" -o /dev/null || bad=1
	done
else
	echo "gcc -fanalyzer: CC is not gcc"
fi
if command -v "$CPPCHECK" >/dev/null; then
	"$CPPCHECK" --quiet --std=c11 --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability --suppress=missingIncludeSystem \
		-D_GNU_SOURCE -DPACKAGE_VERSION='"0"' -Isrc -Iwal -I. src wal || bad=1
else
	echo "cppcheck is not installed: package cppcheck"
fi
MANDOC=$MANDOC top_srcdir=. sh tests/tidy/man.sh || bad=1
exit $bad
