#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Folders are floors: a file includes headers of its own folder or of folders below.  wal/
# includes nothing of src/, and src/ no private header of wal/.  Each library has one file that
# includes it.  A private header names the files that it is for.
set -u
cd "$top_srcdir" || exit 99
bad=0

wrong() {
	echo "$*"
	bad=1
}

# The floors, the lowest first; "." is what lies in src/ itself.
src_floors="base ring http admin server ."
wal_floors="util format media segment files lane recovery store tool"

# floor TREE FOLDER: its number; nothing where it is none.
floor() {
	n=0
	eval "floors=\$${1}_floors"
	# shellcheck disable=SC2154 # eval sets it
	for f in $floors; do
		[ "$f" != "$2" ] || echo $n
		n=$((n + 1))
	done
}

includes() {
	sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$1"
}

# folder FILE: of which folder of its tree it is.
folder() {
	case ${1#*/} in
	*/*) in=${1#*/} && echo "${in%%/*}" ;;
	*) echo . ;;
	esac
}

files=0
for path in $(find src wal -name '*.[ch]' | sort); do
	tree=${path%%/*} at=$(folder "$path")
	here=$(floor "$tree" "$at")
	files=$((files + 1))
	[ -n "$here" ] || wrong "$path: its folder has no floor in tests/tidy/deps.sh"
	for i in $(includes "$path"); do
		if [ -e "$tree/$i" ]; then
			there=$(floor "$tree" "$(folder "$tree/$i")")
			[ "${there:-99}" -le "${here:-0}" ] || wrong "$path includes $i, which stands on a higher floor"
		elif [ -e "wal/$i" ] && [ "$tree" = src ]; then
			case $i in *_priv.h) wrong "$path includes $i, which is private to wal/" ;; esac
		else
			case $i in
			kmod/uapi/*.h | www/page.h) ;;
			*) wrong "$path includes $i, which is not in $tree/" ;;
			esac
		fi
	done
done
[ $files -gt 120 ] || wrong "only $files files were looked at"

# only HEADER FILE: no other file of src/ and wal/ includes it, and that one does
only() {
	found=$(grep -rlE --include='*.[ch]' "^[ \t]*#[ \t]*include[ \t]*[<\"]$1[>\"]" src wal | tr '\n' ' ')
	[ "$found" = "$2 " ] || wrong "$1 is included by ${found:-nobody }and should be by $2 only"
}
only liburing.h src/ring/ring_uring.c
only '.*uapi/paste\.h' src/ring/ring_paste.c
only llhttp.h src/http/http_llhttp_adapter.c
only http_parser.h src/http/http_parser_adapter.c
only libpmem.h wal/media/pm_nvmm.c
only bsd/stdlib.h wal/util/dice.c
only bsd/libutil.h src/base/daemon.c

# A private header says in its first sentence for which files it is: those of src/ and wal/
# include it, all of them, and no other.  Tests may.
private=0
for p in $(find src wal -name '*_priv.h' | sort); do
	private=$((private + 1))
	said=$(sed -n '3,6s/^ \* //p' "$p" | tr '\n' ' ' | sed -n 's/^[^;]*; for \([^;]*\) only\..*/\1/p' |
		grep -oE '[a-z0-9_]+\.[ch]' | sort | tr '\n' ' ')
	found=$(grep -rlE --include='*.[ch]' "^[ \t]*#[ \t]*include[ \t]*\"([a-z]*/)?${p##*/}\"" src wal |
		sed 's,.*/,,' | sort | tr '\n' ' ')
	[ "$said" = "$found" ] || wrong "$p says that it is for ${said:-nobody }only, and is included by ${found:-nobody}"
done
[ $private -ge 4 ] || wrong "only $private private headers were looked at"

# A header that declares a struct of a higher floor, without including it, knows of that
# floor all the same.
for h in $(find src wal -name '*.h' | sort); do
	tree=${h%%/*} here=$(floor "${h%%/*}" "$(folder "$h")")
	for s in $(sed -n 's/^struct \([a-z0-9_]*\);.*/\1/p' "$h"); do
		def=$(grep -rl --include='*.h' "^struct $s {" "$tree" | head -n 1)
		[ -n "$def" ] || continue
		[ "$(floor "$tree" "$(folder "$def")")" -le "$here" ] || wrong "$h declares struct $s, which is $def's, on a higher floor"
	done
done
exit $bad
