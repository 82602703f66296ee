#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Not run by make check: writes new golden stores, once for each release.
#
# make.sh COMMIT [KIND..], anywhere in the sources: a commit is built in a folder of its own,
# write.c is compiled against its library, and each kind of store that is not there yet becomes
# tests/golden/COMMIT/KIND.tar.xz.  One that is there is never written again.
# Then `golden.py --words` in a build folder writes what is said of the new ones beside them.
set -e
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n 5,9p "$0"; exit 64; }
commit=$(git -C "$here" rev-parse --short=7 "$1")
shift
tmp=$(mktemp -d)
store=/var/tmp/pasted-golden		# a wal names its store by the path: it is the same for all
trap 'git -C "$here" worktree remove -f "$tmp/src" 2>/dev/null; rm -rf "$tmp" "$store"' EXIT
git -C "$here" worktree add -q --detach "$tmp/src" "$commit"
(cd "$tmp/src" && autoreconf -fi >/dev/null 2>&1 && ./configure -q --with-kmod=no && make -s libwal.a) >&2
${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -pthread -I"$tmp/src/wal" -I"$tmp/src" -o "$tmp/write" "$here/write.c" \
	"$tmp/src/libwal.a" -lpmem -lbsd
mkdir -p "$here/$commit"
for kind in ${*:-$("$tmp/write")}; do
	[ ! -e "$here/$commit/$kind.tar.xz" ] || continue
	rm -rf "$store"
	mkdir "$store"
	"$tmp/write" "$kind" "$store"
	tar -C "$store" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 -S \
		-cJf "$here/$commit/$kind.tar.xz" store nvmm
	echo "$commit/$kind"
done
