#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The last resort of configure, whatever this build has: the requests' parser over
# http_parser passes the same table (test_http) and the same corpus (replay_http).
set -eu
cc=${CC:-cc} unit=$top_srcdir/tests/unit fuzz=$top_srcdir/tests/fuzz
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# build NAME SOURCE-OR-FLAG...
build() {
	out=$dir/$1
	shift
	# shellcheck disable=SC2086 # a command, flags
	$cc -std=gnu11 -g -O1 -Wall -Wextra ${SANITIZE_CFLAGS:-} -D_GNU_SOURCE -DPASTED_HTTP_PARSER \
		-I"$top_srcdir/src" -I"$top_srcdir/wal" -I"$unit" -o "$out" "$@"
}

# needs PACKAGE LIBRARY: compiles what is on stdin
needs() {
	cat >"$dir/probe.c"
	build probe "$dir/probe.c" "$2" 2>/dev/null || { echo "not installed: package $1"; exit 77; }
}
needs libcmocka-dev -lcmocka <<'END'
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
int main(void) { return 0; }
END
needs "libhttp-parser-dev (2.9.4)" -lhttp_parser <<'END'
#include <http_parser.h>
int main(void)
{
	struct http_parser p = { .uses_transfer_encoding = 1 };

	http_parser_init(&p, HTTP_REQUEST);
	return 0;
}
END

set -- "$top_srcdir/src/http/http.c" "$top_srcdir/src/http/http_check.c" "$top_srcdir/src/http/http_parser_adapter.c"
build test_http "$unit/test_http.c" "$@" -lhttp_parser -lcmocka
build replay_http -DFUZZ_NAME='"http"' -DFUZZ_VARIANTS=4 "$fuzz/fuzz_http.c" "$fuzz/replay.c" "$@" -lhttp_parser
"$dir/test_http"
"$dir/replay_http"
