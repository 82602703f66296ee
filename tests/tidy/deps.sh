#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Dependencies point one way: a file includes headers of its own floor or of floors
# below.  wal/ includes nothing of src/.  Each library has one file that includes it.  A
# private header names those that do.
set -u
cd "$top_srcdir" || exit 99
bad=0

wrong() {
	echo "$*"
	bad=1
}

# The floor of a file of src/.
floor() {
	case $1 in
	pasted.c) echo 5 ;;
	doctor.* | waiting.* | parting.*) echo 4 ;;
	worker.* | conn.* | conn_*.* | ingest.* | checkpoint.*) echo 3 ;;
	service.* | readback.* | metrics.* | answer.*) echo 2 ;;
	ask.* | http*.* | ring*.* | choose.* | counters.h | refusal.* | health.* | queue.h | watch.* | reply.* | head.* | endpoint.*) echo 1 ;;
	cgroup.* | config.* | fault.* | listen.* | daemon.* | disk.* | now.* | diag.* | timers.* | must.h | status.* | text.*) echo 0 ;;
	*) echo none ;;
	esac
}

# The same of wal/: format, media, segment (with the file `store`, which is on the same block
# storage), lane, recovery, the open store, the tool.
wal_floor() {
	case $1 in
	recover_main.c | rec_tool.* | report.* | progress.*) echo 6 ;;
	wal.* | store_priv.h | store_read.c | store_watch.c) echo 5 ;;
	recover.* | rec_*.*) echo 4 ;;
	pool.* | lane*.* | follow.* | settle.* | walfile.* | scan.*) echo 3 ;;
	segment*.* | seg_*.* | store*.* | floor.h) echo 2 ;;
	pm.h | pm_*.* | blk.h | blk_*.c | dax.* | place.* | clock.* | dice.* | std.*) echo 1 ;;
	format.h | codec.* | crc32c.* | bond.* | error.* | class.* | reason.* | record.* | json.* | mutant.h) echo 0 ;;
	*) echo none ;;
	esac
}

includes() {
	sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$1"
}

files=0
for f in src/*.[ch]; do
	name=${f#src/}
	here=$(floor "$name")
	files=$((files + 1))
	[ "$here" != none ] || wrong "$f: give it a floor in tests/tidy/deps.sh"
	for i in $(includes "$f"); do
		[ -e "src/$i" ] || continue
		there=$(floor "$i")
		[ "$there" = none ] || [ "$here" = none ] || [ "$there" -le "$here" ] ||
			wrong "$f (floor $here) includes $i (floor $there)"
	done
done
[ $files -gt 10 ] || wrong "only $files files were looked at"

files=0
for f in wal/*.[ch]; do
	here=$(wal_floor "${f#wal/}")
	files=$((files + 1))
	[ "$here" != none ] || wrong "$f: give it a floor in tests/tidy/deps.sh"
	for i in $(includes "$f"); do
		[ -e "wal/$i" ] || wrong "$f includes $i, which is not in wal/"
		there=$(wal_floor "$i")
		[ "$there" = none ] || [ "$here" = none ] || [ "$there" -le "$here" ] ||
			wrong "$f (floor $here) includes $i (floor $there)"
	done
done
[ $files -gt 40 ] || wrong "only $files files of wal/ were looked at"

# only HEADER FILE: no other file of src/ and wal/ includes it, and that one does
only() {
	found=$(grep -lE "^[ \t]*#[ \t]*include[ \t]*[<\"]$1[>\"]" src/*.[ch] wal/*.[ch] | tr '\n' ' ')
	[ "$found" = "$2 " ] || wrong "$1 is included by ${found:-nobody }and should be by $2 only"
}
only liburing.h src/ring_uring.c
only '.*uapi/paste\.h' src/ring_paste.c
only llhttp.h src/http_llhttp_adapter.c
only http_parser.h src/http_parser_adapter.c
only libpmem.h wal/pm_nvmm.c
only bsd/stdlib.h wal/dice.c
only bsd/libutil.h src/daemon.c

# Where classes differ their properties are asked for: by its constant a class is known to those
# that class.h names.
constants=$(sed -n 's/^\tX(\(WAL_[A-Z_]*\), [0-9]*, .*/\1/p' wal/class.h | paste -sd'|')
found=$(grep -lE "\b($constants)\b" src/*.[ch] wal/*.[ch] | tr '\n' ' ')
[ "$found" = "src/choose.c wal/class.h wal/pm_probe.c wal/rec_store.c " ] ||
	wrong "constants of classes ($constants) stand in $found"

# A private header says in its first sentence for which files it is: those of src/ and wal/
# include it, all of them, and no other.  Tests may.
private=0
for p in src/*_priv.h wal/*_priv.h; do
	[ -e "$p" ] || continue
	private=$((private + 1))
	said=$(sed -n '3,6s/^ \* //p' "$p" | tr '\n' ' ' | sed -n 's/^[^;]*; for \([^;]*\) only\..*/\1/p' |
		grep -oE '[a-z0-9_]+\.[ch]' | sort | tr '\n' ' ')
	found=$(grep -lE "^[ \t]*#[ \t]*include[ \t]*\"${p##*/}\"" src/*.[ch] wal/*.[ch] | sed 's,.*/,,' | sort | tr '\n' ' ')
	[ "$said" = "$found" ] || wrong "$p says that it is for ${said:-nobody }only, and is included by ${found:-nobody}"
done
[ $private -ge 4 ] || wrong "only $private private headers were looked at"

# A header that declares a struct of a higher floor, without including it, knows of that
# floor all the same.  Known are those in this list, FILE:STRUCT.
known=""
for f in src/*.h; do
	for s in $(sed -n 's/^struct \([a-z0-9_]*\);.*/\1/p' "$f"); do
		def=$(grep -l "^struct $s {" src/*.h)
		[ -n "$def" ] || continue
		there=$(floor "${def#src/}") here=$(floor "${f#src/}")
		case " $known " in
		*" $f:$s "*) [ "$there" -gt "$here" ] || wrong "$f:$s is no longer on a higher floor: not known any more" ;;
		*) [ "$there" -le "$here" ] || wrong "$f (floor $here) declares struct $s, which is $def's (floor $there)" ;;
		esac
	done
done
for f in wal/*.h; do
	for s in $(sed -n 's/^struct \([a-z0-9_]*\);.*/\1/p' "$f"); do
		def=$(grep -l "^struct $s {" wal/*.h)
		[ -n "$def" ] || continue
		there=$(wal_floor "${def#wal/}") here=$(wal_floor "${f#wal/}")
		[ "$there" -le "$here" ] || wrong "$f (floor $here) declares struct $s, which is $def's (floor $there)"
	done
done
for k in $known; do
	grep -q "^struct ${k#*:};" "${k%:*}" || wrong "${k%:*} does not declare struct ${k#*:}: not known any more"
done
exit $bad
