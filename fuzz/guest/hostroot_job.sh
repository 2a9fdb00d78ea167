#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs one command in the host-root guest: hostroot_job.sh JOBDIR
#
# JOBDIR holds env, argv and cwd (NUL-terminated strings), modules (what holds the
# kernel's lib/modules), stock (names of those of its modules to load) and, if the
# module under test is wanted, nst.ko and, to load into it, keybox. Three virtio ports carry the command's
# streams, or one the terminal that it has in their place (JOBDIR/terminal: rows and
# columns). The port nst.status says "started", then the command's exit status; or
# "failed: " and the reason why it was not started.

job=$1
declare -A ports
for port in /sys/class/virtio-ports/*; do
	read -r name <"$port/name"
	ports[$name]=/dev/${port##*/}
done
exec {status}>"${ports[nst.status]}"

fail() {
	echo "failed: $*" >&"$status"
	exit 1
}

ip link set dev lo up
# The kernel's modules are in the cache. /lib/modules cannot always be made to show
# them: a host without a kernel of its own, such as a container, has no such folder.
read -r modules <"$job/modules"
export MODPROBE_OPTIONS="--dirname=$modules"
if [[ -s $modules/lib/modules/$(uname -r)/modules.dep ]]; then
	printf '#!/bin/sh\nexec /sbin/modprobe --dirname=%q "$@"\n' "$modules" >/run/nst-modprobe
	chmod 755 /run/nst-modprobe
	echo /run/nst-modprobe >/proc/sys/kernel/modprobe
else
	# All is built in: the kernel need not ask, and it asks for every algorithm.
	echo >/proc/sys/kernel/modprobe
fi

read -r stock <"$job/stock"
if [[ $stock ]]; then
	# shellcheck disable=SC2086 # a list of names
	modprobe -a $stock || fail "modprobe $stock"
fi
if [[ -e $job/nst.ko ]]; then
	said=$(insmod "$job/nst.ko" 2>&1) || fail "insmod nst.ko: $said"
fi
if [[ -e $job/keybox ]]; then
	# The kernel takes a key box in a single write.
	said=$(dd if="$job/keybox" of=/proc/net/nst_keybox bs=8M 2>&1) ||
		fail "the key box was refused: $said"
fi

mapfile -d '' -t environment <"$job/env"
mapfile -d '' -t argv <"$job/argv"
mapfile -d '' -t cwd <"$job/cwd"
cd "${cwd[0]}" || fail "cannot enter ${cwd[0]}"

# The command and all it starts share a control group, so that the output is complete
# when it ends: a daemon left behind would hold the pipes open for ever.
group=/sys/fs/cgroup/nst-job
mkdir "$group" || fail "no control groups"
echo started >&"$status"

run() {
	echo 0 >"$group/cgroup.procs"
	# Of what this script and its parents opened, the command gets its streams alone.
	local fd
	for fd in "/proc/$BASHPID/fd"/*; do
		fd=${fd##*/}
		((fd < 3)) || exec {fd}>&-
	done
	exec "$@" env -i "${environment[@]}" "${argv[@]}"
}

if [[ -e $job/terminal ]]; then
	read -r rows columns <"$job/terminal"
	(
		# The size would not outlast another opening of the device.
		stty rows "$rows" cols "$columns"
		run setsid --ctty --wait
	) <>/dev/hvc0 >&0 2>&0
	code=$?
else
	# Real pipes: a virtio port cannot be opened twice, as /dev/stdout would.
	pipes=$(mktemp -d -p /run nst.XXXXXX)
	mkfifo "$pipes/in" "$pipes/out" "$pipes/err"
	cat <"${ports[nst.stdin]}" >"$pipes/in" &
	cat <"$pipes/out" >"${ports[nst.stdout]}" &
	out=$!
	cat <"$pipes/err" >"${ports[nst.stderr]}" &
	err=$!
	(run) <"$pipes/in" >"$pipes/out" 2>"$pipes/err"
	code=$?
fi
echo 1 >"$group/cgroup.kill"
[[ $out ]] && wait "$out" "$err"
echo "$code" >&"$status"
