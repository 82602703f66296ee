#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The table in config.c, as --help prints it, and pasted.conf(5) name the same settings
# with the same defaults and choices; pasted(8) names every option that is no setting, and
# every class, which README's table has as well.
set -u
conf=$top_srcdir/man/pasted.conf.5 main=$top_srcdir/man/pasted.8
[ -x "$PASTED" ] || { echo "$PASTED is not there"; exit 99; }

# "key default" per line.  --help: "  --key ARG", then "      text [default]".
from_help() {
	"$PASTED" --help | awk '
		/^  --/ { key = substr($1, 3) }
		/^      / && match($0, /\[[^]]*\]$/) {
			print key, substr($0, RSTART + 1, RLENGTH - 2); key = "" }
		/^      / && (key == "nvmm" || key == "nic" || key == "pid-file") { print key, "none" }' | sort
}

# The page: ".It Cm key No = ..", then "Default: value" up to a point or a comma.
from_page() {
	awk '/^\.It Cm .* No = / { key = $3 }
		/^Default: / { v = $2; sub(/[.,;]$/, "", v); print key, v; key = "" }' "$conf" | sort
}

tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
from_help >"$tmp/help"
from_page >"$tmp/page"
[ "$(wc -l <"$tmp/help")" -ge 20 ] || { echo "--help lists too few settings:"; cat "$tmp/help"; exit 1; }
bad=0
diff -u "$tmp/help" "$tmp/page" || { echo "--help (-) and pasted.conf.5 (+) differ"; bad=1; }
# What may be given: "--class auto|nvmm|..", and ".It Cm class No = Cm auto | nvmm | ..".
"$PASTED" --help | awk '/^  --/ && $2 { print substr($1, 3), $2 }' | grep -v "^config " | sort >"$tmp/choices"
sed -n 's/^\.It Cm \(.*\) No = /\1 /p' "$conf" | sed 's/ \(Ar\|Cm\) / /g; s/ | /|/g' | sort >"$tmp/told"
[ "$(wc -l <"$tmp/choices")" -ge 20 ] || { echo "--help lists too few choices:"; cat "$tmp/choices"; exit 1; }
diff -u "$tmp/choices" "$tmp/told" || { echo "what --help (-) and pasted.conf.5 (+) let choose differs"; bad=1; }
# Every class has its words in pasted(8), also the one that only "auto" finds.
classes=$(sed -n 's/^\tX(CLASS_[A-Z_]*, [0-9]*, "\([a-z-]*\)",.*/\1/p' "$top_srcdir/wal/format/class.h")
[ "$(echo "$classes" | wc -w)" -ge 5 ] || { echo "too few classes in class.h: $classes"; bad=1; }
for class in $classes; do
	grep -q "^| \`$class\` | " "$top_srcdir/README.md" || { echo "class $class is not in README's table"; bad=1; }
	grep -q "^\.It Cm $class\$" "$main" || { echo "class $class is not in pasted(8)"; bad=1; }
done
for option in $("$PASTED" --help | awk '/^  --/ { print substr($1, 3) }'); do
	grep -q "^$option " "$tmp/help" || grep -q "^\.It Fl -$option" "$main" ||
		{ echo "--$option is in neither page"; bad=1; }
done
exit $bad
