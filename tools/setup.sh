#!/bin/bash
# Brings what a target needs, says so first, and can be run again: tools/setup.sh build|lab|test|bench
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:?usage: tools/setup.sh build|lab|test|bench}

# program, or a file where that is none:Debian package that has it
build='g++:g++ make:make npm:npm'
# AES-GCM in half the time, on processors that have it in 512-bit registers.
[ "$(uname -m)" != x86_64 ] || build+=' /usr/include/intel-ipsec-mb.h:libipsec-mb-dev'
lab='ip:iproute2 unshare:util-linux crun:crun conmon:conmon slirp4netns:slirp4netns nft:nftables ping:iputils-ping tcpdump:tcpdump
  curl:curl jq:jq xxd:xxd busybox:busybox wg:wireguard-tools ps:procps nc:netcat-openbsd tar:tar'
test='wireguard-go:wireguard-go iperf3:iperf3 tshark:tshark scapy3:python3-scapy
  /usr/lib/python3/dist-packages/cryptography:python3-cryptography'
# strongSwan's userspace ESP, kernel-libipsec, is among the extra plugins.
bench='/usr/lib/ipsec/charon:strongswan-charon swanctl:strongswan-swanctl
  /usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so:libcharon-extra-plugins
  /usr/lib/ipsec/plugins/libstrongswan-gcm.so:libstrongswan-standard-plugins'
case $purpose in
  build) wanted=$build ;;
  lab) wanted="$build $lab" ;;
  test) wanted="$build $lab $test" ;;
  bench) wanted="$build $lab $test $bench" ;;
  *) echo "tools/setup.sh: no such purpose: $purpose" >&2; exit 2 ;;
esac

if [ "$(uname -s)" != Linux ]; then
  echo "Pellicle's lab needs Linux: it makes network namespaces and TUN devices." >&2
  exit 1
fi
if [ "$purpose" != build ] && [ "$(id -u)" != 0 ]; then
  echo "This needs root (network namespaces, TUN devices): run it with sudo." >&2
  exit 1
fi

missing=()
for pair in $wanted; do
  { [[ $pair == /* ]] && [ -e "${pair%%:*}" ]; } || PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "Missing programs; install these packages (Debian's names) with your package manager: ${missing[*]}" >&2
    exit 1
  fi
  echo "Installing Debian packages: ${missing[*]}"
  log=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt-get failed (its whole output: $log)" >&2
    exit 1
  fi
  rm -f "$log"
fi

# npm ci starts from nothing, so it runs only when the lockfile is not the one that was installed.
stamp=node_modules/.installed-lockfile
if ! cmp -s package-lock.json "$stamp"; then
  echo "Installing npm packages, Node.js 24 among them, into node_modules (about 430 MB)"
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json "$stamp"
fi

if [ "$purpose" != build ]; then
  export PATH=$PWD/node_modules/.bin:$PATH
  node tools/kubectl.ts
fi
