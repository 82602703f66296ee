#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# systemd understands the example unit, alone and with what non-volatile memory and the ring
# paste want besides.  Only what it says of our own files counts: others of this machine may
# have faults too.
command -v systemd-analyze >/dev/null || { echo "systemd-analyze is not installed (package systemd)"; exit 77; }
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
fail=0
for more in "" pasted-nvmm.conf; do
	rm -rf "$dir"/*
	sed 's,/usr/local/sbin/pasted,/bin/true,' "$top_srcdir/src/pasted.service" >"$dir/pasted.service"
	if [ "$more" ]; then
		mkdir "$dir/pasted.service.d"
		sed 's,/usr/local/sbin/pasted,/bin/true,' "$top_srcdir/src/$more" >"$dir/pasted.service.d/$more"
	fi
	said=$(SYSTEMD_UNIT_PATH="$dir:" systemd-analyze --man=no verify "$dir/pasted.service" 2>&1 | grep -E "pasted\.service|$dir")
	[ -z "$said" ] || { echo "pasted.service${more:+ with $more}: $said"; fail=1; }
done
exit $fail
