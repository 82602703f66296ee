#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# ./check and ./quickstart themselves, in a tree whose configure, make rules and packages
# are stand-ins: what they count, when they configure again, what they do with arguments.
set -u
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
bad=0
mkdir -p "$dir/tree/tests" "$dir/bin" || exit 99
cp "$top_srcdir/check" "$top_srcdir/quickstart" "$dir/tree" || exit 99
cp "$top_srcdir/tests/setup.sh" "$top_srcdir/tests/skips.txt" "$dir/tree/tests" || exit 99
chmod +x "$dir/tree/check" "$dir/tree/quickstart"
: >"$dir/tree/packages.txt"
: >"$dir/tree/Makefile.in"
unset MAKEFLAGS MAKELEVEL MFLAGS
export dir

# The stand-ins.  $dir/packages is what dpkg knows, $dir/results what the tests give.
cat >"$dir/bin/dpkg-query" <<'END'
#!/bin/sh
cat "$dir/packages"
END
cat >"$dir/tree/configure" <<'END'
#!/bin/sh
[ "$1" = -q ] && shift
echo "configure $*" >>"$dir/done"
printf '#!/bin/sh\necho "%s"\n' "$*" >config.status
chmod +x config.status
cat >Makefile <<MAKE
# answers: $* $(grep -c headers "$dir/packages")
all:
clean:
	echo clean >>$dir/done
check check-quick:
	echo \$@ >>$dir/done
	sh $dir/results
MAKE
END
chmod +x "$dir/bin/dpkg-query" "$dir/tree/configure"

# result NAME RESULT LINE...: what a test leaves behind
cat >"$dir/result" <<'END'
result() {
	mkdir -p tests
	echo ":test-result: $2" >"tests/$1.trs"
	name=$1 verdict=$2
	shift 2
	for line; do echo "$line"; done >"tests/$name.log"
	echo "$verdict tests/$name (exit status: 0)" >>"tests/$name.log"
}
END

# run PROGRAM ARGUMENT...: its exit status and last line, and what was done meanwhile
run() {
	program=$1
	shift
	: >"$dir/done"
	PATH=$dir/bin:$PATH "$dir/tree/$program" "$@" >"$dir/said" 2>"$dir/errors"
	status=$?
	last=$(tail -n 1 "$dir/said")
	did=$(tr '\n' ';' <"$dir/done")
}

expect() {
	[ "$2" = "$3" ] && return
	echo "$1: got \"$2\", want \"$3\""
	cat "$dir/said" "$dir/errors"
	bad=1
}

results() {
	{ cat "$dir/result"; cat; } >"$dir/results"
}

echo "gcc 12" >"$dir/packages"
results <<'END'
result one PASS "ok"
END
(cd "$dir/tree" && mkdir build && cd build && ../configure -q) || exit 99	# as quickstart does
run check
expect "after quickstart" "$status $last" "0 1 passed, 0 failed, 0 skipped"
expect "its flags are added, and the objects made without them go" "$did" "configure --enable-werror;clean;check;"
run check
expect "nothing has changed" "$did" "check;"
run check --quick
expect "the quick tests" "$status $did" "0 check-quick;"
echo "linux-headers" >>"$dir/packages"
run check
expect "the headers have come" "$did" "configure --enable-werror;clean;check;"
echo "cowsay" >>"$dir/packages"
run check
expect "a package that matters to nobody" "$did" "configure --enable-werror;check;"

results <<'END'
result one PASS "ok"
result paste SKIP "the ring \"paste\" cannot be tested here: no /dev/paste"
result root PASS "ok      a: b (0.1 s)" "skipped c: d [uring fsync]: mounting a small file system needs root (0.0 s)" \
	"skipped f2fs: f2fs: this kernel has no f2fs (0.0 s)"
END
run check
expect "skips that are allowed" "$status $last" "0 2 passed, 0 failed, 1 skipped"
results <<'END'
result one PASS "ok"
result vm SKIP "there is no kmod/obj/paste.ko: the module was not built"
result peers PASS "skipped node: against node: nodejs is not installed (0.0 s)" "ok      a: b (0.1 s)"
result lost FAIL "lost a record"
END
run check
expect "skips that are not, of a test and of a case" "$status $last" "1 1 passed, 3 failed, 0 skipped"
grep -q "tests/vm: there is no kmod/obj/paste.ko" "$dir/said" || expect "it is said" "no" "yes"
grep -q "tests/peers: skipped node: against node: nodejs is not" "$dir/said" || expect "it is said" "no" "yes"
results <<'END'
echo "error: it does not compile" >&2
exit 1
END
run check
expect "nothing ran" "$status $last" "1 0 passed, 1 failed, 0 skipped"

for program in check quickstart; do
	run $program --help
	expect "$program --help" "$status $(head -n 1 "$dir/said" | cut -d ' ' -f 1-2)" "0 usage: ./$program"
	expect "$program --help does nothing" "$did" ""
	for argument in --fast now ""; do
		run $program "$argument"
		expect "$program \"$argument\"" "$status $did" "64 "
		grep -q "^usage: ./$program" "$dir/errors" || expect "it says what is right" "no" "yes"
	done
done
exit $bad
