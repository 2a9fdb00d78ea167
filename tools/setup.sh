#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Makes a fresh Debian 12 able to build, test and fuzz: system packages, the virtual
# environment .venv with the project in it, and the guests' kernels in the
# user's cache. What is there already is left alone; run twice, the second run does nothing.

set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
	# the virtual environment, and what nst_scapy has in C
	python3-dev python3-venv
	# kernel modules and guest programs; kbuild's tools need the two libraries
	gcc libc6-dev libelf1 libssl3 make perl sparse xz-utils
	# a whole kernel, sanitizer-6.12
	bc bison flex libelf-dev libssl-dev
	# guests; virtme-ng looks into kernel images with file
	busybox-static cpio file iproute2 kmod qemu-system-x86 qemu-utils util-linux
	# captures of what the module sends
	tcpdump
	# programs that run over NST unmodified; their servers are unpacked, below
	curl iperf3 libwrap0 openssh-client redis-tools
	# the HTML report is opened in
	chromium
	# the man page is checked with
	mandoc
	# the Wireshark dissector: tshark 4.0 and its fast crypto
	lua-luaossl tshark
)
# Wireshark 4.4 runs in Node. Other builds of nodejs than Debian's bring npm along, and
# Debian's npm cannot be installed beside them.
command -v npm >/dev/null || packages+=(nodejs npm)
python=${PYTHON:-/usr/bin/python3}

say() {
	echo "setup: $*" >&2
}

system_packages() {
	local missing=() package
	if ! command -v dpkg-query >/dev/null; then
		say "no dpkg-query here: NST is built on Debian 12, with ${packages[*]}"
		exit 1
	fi
	for package in "${packages[@]}"; do
		[[ ${installed[$package]:-} ]] || missing+=("$package")
	done
	[[ ${missing[*]} ]] || return 0
	local install=(apt-get install --yes --no-install-recommends "${missing[@]}")
	if ((EUID != 0)); then
		say "packages are missing; as root, run:"
		say "  apt-get update && ${install[*]}"
		exit 1
	fi
	say "installing ${missing[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive "${install[@]}" -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600
}

# The stamp is written last: an environment without it is not trusted.
virtual_environment() {
	local stamp=.venv/.complete wanted
	wanted=$(cat pyproject.toml nst_scapy/*.c; echo "$PWD"; "$python" --version)
	[[ ! -e $stamp || $(<"$stamp") != "$wanted" ]] || return 0
	say "installing the project and what it needs into .venv"
	if [[ ! -e $stamp ]]; then
		rm -rf .venv
		"$python" -m venv .venv
	fi
	.venv/bin/pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	echo "$wanted" >"$stamp"
}

wireshark_4_4() {
	local tests=tests/wireshark
	local stamp=$tests/node_modules/.package-lock.json
	[[ ! -e $stamp || $stamp -ot $tests/package-lock.json ]] || return 0
	say "installing Wireshark 4.4 for Node"
	npm ci --prefix "$tests" --no-audit --no-fund --loglevel=error >/dev/null
	touch "$stamp"
}

# Installed, they would start.
servers_unpacked() {
	local into=${XDG_CACHE_HOME:-$HOME/.cache}/nst/servers package
	[[ ! -e $into/.complete ]] || return 0
	say "unpacking nginx and openssh-server"
	mkdir -p "$into"
	if ! (cd "$into" && apt-get download -qq nginx openssh-server) 2>/dev/null; then
		if ((EUID != 0)); then
			say "Debian's package lists are missing; as root, run: apt-get update"
			exit 1
		fi
		apt-get update -qq
		(cd "$into" && apt-get download -qq nginx openssh-server) 2>/dev/null
	fi
	for package in "$into"/*.deb; do
		dpkg -x "$package" "$into"
		rm "$package"
	done
	touch "$into/.complete"
}

declare -A installed=()
while read -r status package; do
	[[ $status != ii ]] || installed[$package]=yes
done < <(dpkg-query --show --showformat='${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null)

# Two runs at once, by two make targets say, take turns.
exec {lock}>.setup.lock
flock "$lock"
system_packages
virtual_environment
wireshark_4_4
servers_unpacked
for kernel in debian-6.12 debian-6.1; do
	.venv/bin/nst-fuzz kernel fetch --quiet "$kernel"
done
