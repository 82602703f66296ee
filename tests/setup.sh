# SPDX-License-Identifier: BSD-2-Clause
# Sourced by quickstart and check with $top set: packages, and the build in ./build.

as_root() {
	if [ "$(id -u)" = 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	elif command -v sudo >/dev/null; then
		sudo env DEBIAN_FRONTEND=noninteractive "$@"
	else
		echo "cannot install packages: neither root nor sudo; as root: $*" >&2
		return 1
	fi
}

is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# packages_for KIND...: one line per package, alternatives separated by |
packages_for() {
	for kind; do
		awk -v kind="$kind" '$1 == kind { print $2 }' "$top/packages.txt"
	done | sort -u
}

# Which of a|b is there already, else which could be.
choose_package() {
	for p in $(echo "$1" | tr '|' ' '); do
		is_installed "$p" && { echo "$p"; return; }
	done
	for p in $(echo "$1" | tr '|' ' '); do
		apt-cache show "$p" >/dev/null 2>&1 && { echo "$p"; return; }
	done
	echo "${1##*|}"
}

missing_packages() {
	for line in $(packages_for "$@"); do
		p=$(choose_package "$line")
		is_installed "$p" || echo "$p"
	done
}

install_packages() {
	[ -n "$(missing_packages "$@")" ] || return 0
	as_root apt-get -qq update || return 1
	missing=$(missing_packages "$@")
	echo "installing:" $missing
	# shellcheck disable=SC2086 # a list
	as_root apt-get -qq -y --no-install-recommends install $missing >/dev/null
}

# What configure's answers depend on besides its own text and arguments: where the tree is,
# which packages there are, and kernel headers that came without one.
surroundings() {
	echo "$top" "$@"
	dpkg-query -W 2>/dev/null
	ls -d /lib/modules/*/build /usr/src/linux-headers-* 2>/dev/null
}

# Configures ./build, with the arguments that it has already and those in $configure_flags;
# again only where something has changed since, for example packages that were installed.
# Objects that were made with other answers are thrown away: make would keep them.
configure() {
	(
		cd "$top/build" || exit 1
		set --
		[ -x config.status ] && eval "set -- $(./config.status --config)"
		for flag in $configure_flags; do
			case " $* " in *" $flag "*) ;; *) set -- "$@" "$flag" ;; esac
		done
		now=$(surroundings "$@" | cksum)
		[ -e Makefile ] && [ "$now" = "$(cat configured 2>/dev/null)" ] && exit 0
		[ ! -e Makefile ] || cp Makefile Makefile.before || exit 1
		../configure -q "$@" || exit 1
		if [ -e Makefile.before ]; then
			cmp -s Makefile Makefile.before || make -s clean >/dev/null || exit 1
			rm -f Makefile.before
		fi
		echo "$now" >configured
	)
}

# build TARGET...: out of tree, in ./build.
build() {
	mkdir -p "$top/build" || return 1
	if [ ! -x "$top/configure" ] || [ ! -e "$top/Makefile.in" ]; then
		autoreconf -fi "$top" >"$top/build/autoreconf.log" 2>&1 ||
			{ cat "$top/build/autoreconf.log" >&2; return 1; }
	fi
	configure || return 1
	make -s -C "$top/build" -j "${JOBS:-$(nproc)}" "$@"
}
