#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The manual pages are clean, and each program and file format has one.
set -u
cd "$top_srcdir/man" || exit 99
if ! command -v "$MANDOC" >/dev/null; then
	echo "mandoc is not installed: package mandoc"
	exit 77
fi
bad=0
for page in pasted.8 pasted-recover.8 pasted.conf.5 pasted-wal.5 paste.4; do
	[ -e "$page" ] || { echo "$page is missing"; bad=1; }
done
# Our own pages are not installed yet, so mandoc does not find what they refer to.
"$MANDOC" -Tlint -Wstyle ./*.[1-9] 2>&1 | grep -vE 'referenced manual not found|mandoc\.db' &&
	bad=1
for xr in $(sed -n 's/^\.Xr \(pasted[a-z.-]*\) \([1-9]\).*/\1.\2/p' ./*.[1-9] | sort -u); do
	[ -e "$xr" ] || { echo "a page refers to $xr, which is not there"; bad=1; }
done
exit $bad
