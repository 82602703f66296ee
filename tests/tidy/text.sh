#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Sources: a licence line first, no white space at the end of a line, a newline at the
# end of the file.
set -u
cd "$top_srcdir" || exit 99
bad=0 files=0

sources() {
	find src wal kmod www man tests packages.txt configure.ac Makefile.am README.md quickstart check .ci \
		-type f ! -path '*/__pycache__/*' ! -name '*~' |
		grep -E '\.([ch]|mk|sh|py|md|ac|am|[1-9]|html|lua|service|txt)$|/run$|^quickstart$|^check$'
}

for f in $(sources); do
	files=$((files + 1))
	if grep -nE '[[:blank:]]+$' "$f" /dev/null; then
		echo "$f: white space at the end of a line"
		bad=1
	fi
	[ -z "$(tail -c 1 "$f")" ] || { echo "$f: no newline at the end"; bad=1; }
	case $f in
	*.md | *.txt | *.html) continue ;;
	esac
	head -n 3 "$f" | grep -qE 'SPDX-License-Identifier: (GPL-2.0 OR )?BSD-2-Clause' ||
		{ echo "$f: no SPDX-License-Identifier line at the top"; bad=1; }
done
[ $files -gt 30 ] || { echo "only $files files were looked at"; bad=1; }
exit $bad
