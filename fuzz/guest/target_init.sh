#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Process 1 of the target guest. /nst/config sets module_args and the addresses, and
# defines target(), which runs the program under test. What this script says goes to
# the serial console as lines that start with "nst-init:".

/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t debugfs debugfs /sys/kernel/debug

say() {
	echo "nst-init: $*"
}

halt() {
	say "failed: $*"
	poweroff -f
}

. /nst/config

while read -r module; do
	insmod "/nst/modules/$module" || halt "insmod $module"
done </nst/modules/order
# shellcheck disable=SC2086 # several parameters
insmod /nst/nst.ko $module_args || halt "insmod nst.ko"

# The kernel takes a key box in a single write.
dd if=/nst/keybox of=/proc/net/nst_keybox bs=8M 2>/dev/null || halt "the key box was refused"

# Nothing but the campaign's own traffic on the wire, and addresses usable at once.
for setting in accept_ra=0 autoconf=0 router_solicitations=0 accept_dad=0 mldv1_unsolicited_report_interval=0; do
	echo "${setting#*=}" >"/proc/sys/net/ipv6/conf/all/${setting%=*}"
	echo "${setting#*=}" >"/proc/sys/net/ipv6/conf/eth0/${setting%=*}"
done
# A campaign sends thousands of packets that lack a fragment. Those kept for as long as is usual
# take up all the room there is for fragments, and then no other packet comes together.
echo 5 >/proc/sys/net/ipv4/ipfrag_time
echo 5 >/proc/sys/net/ipv6/ip6frag_time
ip link set dev lo up
ip link set dev eth0 up
ip address add "$ipv4" dev eth0
ip address add "$ipv6" dev eth0
# QEMU's own network, which only benchmarks have.
if [ -e /sys/class/net/eth1 ]; then
	ip link set dev eth1 up
	ip address add 10.0.2.15/24 dev eth1
fi

for port in /sys/class/virtio-ports/*; do
	[ "$(cat "$port/name")" = nst.control ] && control=/dev/${port##*/}
done

say ready
# A virtio port can be open once only: stdin and stdout share it.
target <>"$control" >&0
say "target ended with status $?"
# A kernel panics without process 1. The runner ends the guest.
while :; do
	sleep 3600
done
