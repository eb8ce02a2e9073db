#!/bin/sh
# A CNI plugin for these tests: a veth pair, a /32 out of $state/prefix, addresses by a counter. Nothing else.
set -e
state=/run/bridge-cni
exec 3>&1 1>/dev/null
host=t$(printf %s "$CNI_CONTAINERID" | cut -c1-12)
[ ! -e $state/fail ] || { echo '{"cniVersion":"1.0.0","code":11,"msg":"the network has a holiday"}' >&3; exit 1; }
case $CNI_COMMAND in
ADD)
  address=$(
    flock 9
    next=$(($(cat $state/next 2>/dev/null || echo 1) + 1))
    echo $next >$state/next
    echo "$(cat $state/prefix).$next"
  ) 9>$state/lock
  nsenter --net="$CNI_NETNS" ip link add eth0 mtu 1400 type veth peer name $host mtu 1400 netns $$
  echo 1 >/proc/sys/net/ipv4/conf/$host/proxy_arp
  ip link set $host up
  nsenter --net="$CNI_NETNS" sh -ec "ip addr add $address/32 dev eth0; ip link set eth0 up
    ip route add 169.254.1.1 dev eth0; ip route add default via 169.254.1.1"
  ip route add $address/32 dev $host
  echo "{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"$address/32\"}]}" >&3
  ;;
DEL) ip link delete $host 2>/dev/null || true ;;
esac
