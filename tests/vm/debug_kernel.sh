#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# debug_kernel.sh DIR - a kernel that looks at what a module does: Debian's 6.1 source with
# KASAN, lockdep, kmemleak, failslab and more, small otherwise.  Into DIR/root, the folder
# that PASTED_VM_KERNEL wants, and a paste.ko for it into DIR/kmod.  Twenty minutes of two CPUs; it
# goes on where it was stopped.
#
#   JOBS   how many processes (2)
set -eu
dir=$1
src=$(cd "$top_srcdir/kmod" && pwd)
jobs=${JOBS:-2}
package=linux-source-6.1
mkdir -p "$dir"
cd "$dir"

need() {
	command -v "$1" >/dev/null || { echo "$1 is not installed: package $2"; exit 77; }
}
need flex flex
need bison bison
need bc bc
need xz xz-utils

# The source
if [ ! -e linux/.unpacked ]; then
	rm -rf linux deb
	mkdir linux deb
	(cd deb && apt-get -q -o APT::Sandbox::User=root download $package) ||
		{ echo "$package cannot be had"; exit 77; }
	dpkg-deb -x deb/*.deb deb/x
	tar -xJf deb/x/usr/src/$package.tar.xz -C linux --strip-components=1
	rm -rf deb
	touch linux/.unpacked
fi

# The configuration: the least that there is, and these.  SLUB, or KASAN silently is not.
cat >wanted.new <<'EOF'
64BIT SMP PRINTK TTY SERIAL_8250 SERIAL_8250_CONSOLE BLK_DEV_INITRD BINFMT_ELF BINFMT_SCRIPT
PCI ACPI HYPERVISOR_GUEST PARAVIRT KVM_GUEST HIGH_RES_TIMERS MULTIUSER MODULES MODULE_UNLOAD
PROC_FS PROC_SYSCTL SYSFS TMPFS SHMEM DEVTMPFS FUTEX EPOLL EVENTFD SIGNALFD TIMERFD POSIX_TIMERS
AIO IO_URING ADVISE_SYSCALLS MEMBARRIER FILE_LOCKING SYSVIPC NAMESPACES NET_NS SECCOMP BUG
KALLSYMS ELF_CORE FHANDLE USERFAULTFD INOTIFY_USER TRANSPARENT_HUGEPAGE
NET UNIX INET IPV6 TLS VSOCKETS PACKET NETDEVICES NET_CORE TUN VETH NET_SCHED NET_SCH_NETEM
NET_SCH_INGRESS NET_CLS NET_CLS_ACT NET_CLS_MATCHALL NET_ACT_PEDIT NET_ACT_MIRRED NET_ACT_GACT IFB VLAN_8021Q
VIRTIO_MENU VIRTIO_PCI VIRTIO_BLK VIRTIO_CONSOLE BLOCK BLK_DEV HW_RANDOM
EXT4_FS CRYPTO CRYPTO_CRC32C LIBCRC32C DAX FS_DAX LIBNVDIMM ACPI_NFIT BLK_DEV_PMEM NVDIMM_PFN
NVDIMM_DAX ND_BTT MEMORY_HOTPLUG MEMORY_HOTREMOVE ZONE_DEVICE SPARSEMEM_VMEMMAP BTT DEV_DAX
DEV_DAX_PMEM
DEBUG_KERNEL DEBUG_FS DEBUG_INFO_NONE STACKTRACE FRAME_POINTER UNWINDER_FRAME_POINTER
SLUB SLUB_DEBUG KASAN KASAN_GENERIC KASAN_INLINE KASAN_VMALLOC
PROVE_LOCKING DEBUG_ATOMIC_SLEEP DEBUG_LIST DEBUG_SG DEBUG_NOTIFIERS DEBUG_VM DEBUG_NET
DEBUG_KMEMLEAK DEBUG_OBJECTS DEBUG_OBJECTS_FREE DEBUG_OBJECTS_TIMERS DEBUG_OBJECTS_WORK
DETECT_HUNG_TASK SOFTLOCKUP_DETECTOR FAULT_INJECTION FAULT_INJECTION_DEBUG_FS FAILSLAB
EOF
if [ ! -e linux/.config ] || ! cmp -s wanted.new wanted; then
	make -s -C linux tinyconfig
	set -- -d SLOB -d KERNEL_XZ -e KERNEL_GZIP -d WERROR -d DEBUG_KMEMLEAK_DEFAULT_OFF -d UNWINDER_GUESS
	for w in $(cat wanted.new); do set -- "$@" -e "$w"; done
	# A module: paste.ko has a driver for the same devices.
	linux/scripts/config --file linux/.config "$@" -m VIRTIO_NET \
		--set-val DEBUG_KMEMLEAK_MEM_POOL_SIZE 16000 --set-str LOCALVERSION -pasted-debug
	make -s -C linux olddefconfig
	mv wanted.new wanted
fi
for w in SLUB KASAN_GENERIC PROVE_LOCKING DEBUG_KMEMLEAK FAILSLAB EXT4_FS FS_DAX BLK_DEV_PMEM TUN IPV6 TLS VSOCKETS VIRTIO_PCI; do
	grep -q "^CONFIG_$w=y" linux/.config || { echo "CONFIG_$w did not get into the configuration"; exit 99; }
done

make -s -C linux -j "$jobs" bzImage modules
release=$(make -s -C linux kernelrelease)
rm -rf root
mkdir -p root/boot
make -s -C linux INSTALL_MOD_PATH="$PWD/root" modules_install >/dev/null
cp linux/arch/x86/boot/bzImage "root/boot/vmlinuz-$release"
cp linux/.config "root/boot/config-$release"

rm -rf kmod
mkdir -p kmod/uapi
cp "$src"/*.c "$src"/*.h "$src/Kbuild" kmod
cp "$src"/uapi/*.h kmod/uapi
make -s -C linux M="$PWD/kmod" modules
echo "built: $release"
