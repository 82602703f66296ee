#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Debian's kernel of another suite, and paste.ko for it, for the tests in a machine.
#
# usage: other_kernel.sh SUITE FOLDER, for example other_kernel.sh trixie-backports cache/newest
#
# Afterwards FOLDER/root is what PASTED_VM_KERNEL wants, FOLDER/kmod/paste.ko what PASTED_KMOD
# does.  Packages are fetched with apt-get, into lists of this script's own, and unpacked,
# never installed.  Where the suite's tools want a newer C library than this machine has,
# they run with that suite's.  Exit status: 0, 77 (it cannot be had), 99.
set -e
suite=$1
mkdir -p "$2"
cd "$2"
here=$PWD
src=${top_srcdir:?}/kmod
src=$(cd "$src" && pwd)
cc=${KERNEL_CC:-gcc}

# What cannot be fetched is no failure of ours; what cannot be built is.
fetched() { "$@" >fetch.log 2>&1 || { echo "$suite: $(tail -n 1 fetch.log)"; exit 77; }; }

mkdir -p apt/lists/partial apt/archives/partial deb
key=/usr/share/keyrings/debian-archive-keyring.gpg
for s in "$suite" "${suite%-backports}"; do
	echo "deb [signed-by=$key] http://deb.debian.org/debian $s main"
done >apt/sources.list
cat >apt/conf <<END
Dir::Etc::sourcelist "$here/apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$here/apt/lists";
Dir::State::status "/dev/null";
Dir::Cache "$here/apt";
APT::Sandbox::User "root";
END
APT_CONFIG=$here/apt/conf
export APT_CONFIG
fetched apt-get -q update

# names PACKAGE PATTERN: what that suite's package depends on and is called so
names() { apt-cache -t "$suite" show --no-all-versions "$1/$suite" 2>/dev/null | sed -n 's/^\(Pre-\)\{0,1\}Depends: //p' |
	tr ',|' '\n\n' | sed 's/^ *//; s/ .*//' | grep -E "^($2)$" | sort -u; }
image=$(names linux-image-amd64 'linux-image-[0-9].*' | head -n 1)
headers=$(names linux-headers-amd64 'linux-headers-[0-9].*' | head -n 1)
[ -n "$image" ] && [ -n "$headers" ] || { echo "$suite has no linux-image-amd64 or no headers for it"; exit 77; }
release=${image#linux-image-}
[ "$(cat built 2>/dev/null)" = "$release" ] || rm -rf root build kmod built

if [ ! -e built ]; then
	mkdir -p root build
	for p in $image $(names "$image" "linux-(base|binary|modules)-[0-9].*"); do
		(cd deb && fetched apt-get -q download "$p")
		dpkg-deb --fsys-tarfile deb/"$p"_*.deb | tar -x -C root --exclude='./usr/share/*' --exclude='*/drivers/gpu/*' \
			--exclude='*/drivers/media/*' --exclude='*/net/wireless/*' --exclude='*/kernel/sound/*'
	done
	for p in $headers $(names "$headers" 'linux-headers-.*-common|linux-kbuild-.*'); do
		(cd deb && fetched apt-get -q download "$p")
		dpkg-deb -x deb/"$p"_*.deb build
	done
	echo "$release" >built
fi
rm -rf deb

# The tools of a newer Debian: with its libraries.  (Two of them only choose another one by
# their own name, which these scripts hide: this machine's choice takes their place.)
kbuild=$(echo "$here"/build/usr/lib/linux-kbuild-*)
if [ ! -e "$kbuild/.elf" ] && ! "$kbuild/scripts/mod/modpost.real-lsb-64" -h >/dev/null 2>tools.log && grep -q GLIBC tools.log; then
	mkdir -p libs deb "$kbuild/.elf"
	for p in libc6 libelf1t64 zlib1g libzstd1 libssl3t64; do
		(cd deb && fetched apt-get -q download "$p/${suite%-backports}")
		dpkg-deb -x deb/"$p"_*.deb libs
	done
	rm -rf deb
	find "$kbuild" -path "$kbuild/.elf" -prune -o -type f -perm -1 -print | while read -r f; do
		[ "$(head -c 4 "$f" | tail -c 3)" = ELF ] || continue
		to=$kbuild/.elf/$(echo "${f#"$kbuild"/}" | tr / _)
		mv "$f" "$to"
		printf '#!/bin/sh\nexec %s/libs/usr/lib64/ld-linux-x86-64.so.2 --library-path %s/libs/usr/lib/x86_64-linux-gnu %s "$@"\n' \
			"$here" "$here" "$to" >"$f"
		chmod +x "$f"
	done
	cp "$kbuild/scripts/mod/modpost.real-lsb-64" "$kbuild/scripts/mod/modpost"
	cp "$kbuild/tools/objtool/objtool.real-x86" "$kbuild/tools/objtool/objtool"
fi

# Where they are, not where they would be installed; no types for BPF; and options that a
# newer compiler had and this one has not.
tree=$here/build/usr/src/$headers
sed -i "s,[^ =]*/usr/src/,$here/build/usr/src/,g" "$tree/Makefile"
rm -f "$tree/vmlinux"
"$cc" -fmin-function-alignment=16 -E - </dev/null >/dev/null 2>&1 ||
	sed -i '/CC_HAS_MIN_FUNCTION_ALIGNMENT/d' "$tree/include/config/auto.conf"
rm -rf kmod
mkdir -p kmod/uapi
cp "$src"/*.c "$src"/*.h "$src/Kbuild" kmod
cp "$src"/uapi/*.h kmod/uapi
make -s -C "$tree" M="$here/kmod" CC="$cc" modules >make.log 2>&1 || { cat make.log; exit 99; }
echo "built for $release"
