#!/bin/busybox sh
# SPDX-License-Identifier: BSD-2-Clause
# Not run by make check: it is in the image that image.py makes.
# The machine's first process: file systems, modules, network, then the agent, which
# runs what vm.Machine.run() sends through the port "agent" and answers with the exit
# status and all output.  What goes wrong before that is said on the console; without
# the word "ready" through the port the machine never counts as booted.
/bin/busybox mkdir -p /bin /sbin /usr/bin /usr/sbin
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mkdir -p /dev/shm
mount -t tmpfs none /dev/shm
mount -t tmpfs none /tmp
exec </dev/null >/dev/console 2>&1
echo "init: started"

for m in /modules/*.ko; do
	insmod "$m" || echo "init: $m cannot be loaded"
done
ifconfig lo 127.0.0.1 up
# QEMU's user network: no DHCP needed, its addresses are known
[ ! -e /sys/class/net/eth0 ] || ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
ulimit -n 20000
. /setup

for p in /sys/class/virtio-ports/*; do
	[ "$(cat "$p/name")" = agent ] && port=/dev/${p##*/}
done
[ -e "$port" ] || { echo "init: no port for the agent"; poweroff -f; }
exec 3<>"$port"
echo ready >&3
# A line is a number and a script in base64; the answer has its lengths in front.
while read -r id script <&3; do
	echo "$script" | base64 -d >/tmp/.script
	sh /tmp/.script </dev/null >/tmp/.out 2>/tmp/.err 3>&-
	rc=$?
	{
		echo "done $id $rc $(stat -c %s /tmp/.out) $(stat -c %s /tmp/.err)"
		cat /tmp/.out /tmp/.err
	} >&3
done
echo "init: the agent's port was closed"
poweroff -f
