#!/usr/bin/env bash
#
# Pod-to-pod encryption with IPsec: a key in a Secret, the installation, ESP on the wire, and a change of the key under way.
#
#     tiefighter, xwing                                       deathstar
#         │ eth0                                                  │ eth0
#    ┌────┴──────────── one node ────────┐     ┌── another node ──┴───────────────┐
#    │ lxc…                              │     │                             lxc… │
#    │   cilium_esp0   (pod packets)     │     │     (pod packets)   cilium_esp0  │
#    │   cilium_vxlan  (ESP, SPI = key)  │     │  (ESP, SPI = key)   cilium_vxlan │
#    │        └──── eth0 ────────────────┼─────┼───────────────── eth0 ────┘      │
#    └───────────────────────────────────┘     └──────────────────────────────────┘
#                       vxlan, UDP 8472: no pod packet in the clear
#
# Runs against the cluster that kubectl talks to, with two workers at least (`make lab`), as often as you like. Exit status
# 0: every check passed. The cluster stays up, encrypted, with the ships of endor.yaml flying.

set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
export PATH="$PWD/../bin:$PATH"
. ./lib.sh

PORT=8472
LANDING=deathstar.endor.svc.cluster.local/v1/request-landing

main() {
  need_cluster
  need_workers
  fresh_start
  generate_key
  install_cilium
  deploy_demo
  watch_esp
  prove_sealed "with key $KEYID"
  rotate_key
  prove_sealed "with key $NEWKEYID"
  control_without_encryption
  prove_sealed "with encryption again"
  conclude
}

# ── the lab's steps ────────────────────────────────────────────────────────────────────────────────────────────────

# Two at least: what goes from pod to pod on one node does not cross the wire.
need_workers() {
  mapfile -t WORKERS < <(kubectl get nodes -l '!node-role.kubernetes.io/control-plane' -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}')
  [ ${#WORKERS[@]} -ge 2 ] || give_up "the cluster has ${#WORKERS[@]} workers, two are needed: bring the lab up with 'make lab'"
}

# The lab begins without Cilium, without the ships and without a key.
fresh_start() {
  kubectl delete -f endor.yaml -f pod1.yaml -f pod2.yaml --ignore-not-found >/dev/null
  without_cilium
  kubectl delete -n kube-system secret cilium-ipsec-keys --ignore-not-found >/dev/null
}

generate_key() {
  local secret
  say "Generating a key of 20 random bytes (key and salt of AES-128-GCM); it is not shown here"
  echo "\$ PSK=(\$(dd if=/dev/urandom count=20 bs=1 2> /dev/null | xxd -p -c 64))"
  PSK=($(dd if=/dev/urandom count=20 bs=1 2> /dev/null | xxd -p -c 64))
  check "the key has 40 hex digits" matches "$PSK" '^[0-9a-f]{40}$'

  say "Creating the Secret: key id, algorithm, key, bits of the tag"
  echo "\$ kubectl create -n kube-system secret generic cilium-ipsec-keys --from-literal=keys=\"3 rfc4106(gcm(aes)) \$PSK 128\""
  kubectl create -n kube-system secret generic cilium-ipsec-keys \
      --from-literal=keys="3 rfc4106(gcm(aes)) $PSK 128"
  SECRET="$(kubectl get secrets cilium-ipsec-keys -o jsonpath='{.data}' -n kube-system | jq -r ".keys")"
  secret=$(echo $SECRET | base64 --decode)
  echo "\$ echo \$SECRET | base64 --decode"
  hide_key <<<"$secret"
  check "the Secret decodes to what was written" test "$secret" = "3 rfc4106(gcm(aes)) $PSK 128"
}

install_cilium() {
  local config
  say "Installing Cilium with IPsec"
  install_in_time --version 1.14.5 \
    --set encryption.enabled=true \
    --set encryption.type=ipsec

  say "Is IPsec enabled?"
  echo "\$ cilium config view | grep enable-ipsec"
  config=$(cilium config view | grep enable-ipsec)
  echo "$config"
  check "enable-ipsec is true" matches "$config" 'enable-ipsec +true'
  check "enable-ipsec-key-watcher is true" matches "$config" 'enable-ipsec-key-watcher +true'

  # A quiet cluster: what is heard from now until the ships fly are the heartbeats.
  QUIET_POD=$(agent_on "${WORKERS[1]}")
  start_capture "$QUIET_POD" quiet cilium_vxlan esp
  quiet_since=$(milliseconds)
}

deploy_demo() {
  local heartbeats
  say "Listening to the quiet cluster: heartbeats between the agents, about every 15 s"
  wait_until $((quiet_since + 17000))
  heartbeats=$(stop_capture "$QUIET_POD" quiet)
  head -n 6 <<<"$(show_capture "$QUIET_POD" quiet)"
  check "heartbeats cross the tunnel: $heartbeats packets of ESP on ${WORKERS[1]}'s cilium_vxlan in 17 s" test "$heartbeats" -gt 0

  say "Deploying the demo app"
  run kubectl apply -f endor.yaml
  kubectl -n endor wait --for=condition=Available deployment --all --timeout=60s >/dev/null
  run kubectl get -f endor.yaml

  DEATHSTAR_NODE=$(pod_of deathstar '{.spec.nodeName}')
  DEATHSTAR_IP=$(pod_of deathstar '{.status.podIP}')
  SHIP_NODE=$(pod_of tiefighter '{.spec.nodeName}')
  check "tiefighter ($SHIP_NODE) and deathstar ($DEATHSTAR_NODE) are on different nodes" test "$SHIP_NODE" != "$DEATHSTAR_NODE"
  say "May the tiefighter land?"
  check "POST $LANDING from tiefighter: Ship landed" within 10 lands tiefighter
  check "POST $LANDING from xwing: Ship landed" within 10 lands xwing
}

watch_esp() {
  local here there seen_here seen_there out back
  here=$(agent_on "$SHIP_NODE")
  there=$(agent_on "$DEATHSTAR_NODE")
  A=$(internal_ip "$SHIP_NODE")
  B=$(internal_ip "$DEATHSTAR_NODE")
  say "In the shell of an agent: is tcpdump there, and what does it see on cilium_vxlan?"
  PROMPT_NODE=$SHIP_NODE
  run_in "$here" 'command -v tcpdump || { apt-get update && apt-get -y install tcpdump; }'
  echo "root@$SHIP_NODE:/home/cilium# tcpdump -n -i cilium_vxlan esp"
  start_capture "$here" esp cilium_vxlan esp
  start_capture "$there" esp cilium_vxlan esp
  lands tiefighter
  stop_capture "$here" esp >/dev/null
  stop_capture "$there" esp >/dev/null
  seen_here=$(show_capture "$here" esp)
  seen_there=$(show_capture "$there" esp)
  head -n 6 <<<"$seen_here"
  out="IP $A > $B: ESP(spi=0x00000003,seq=0x"
  back="IP $B > $A: ESP(spi=0x00000003,seq=0x"
  check "ESP $A > $B with SPI 3, leaving $SHIP_NODE" contains "$seen_here" "$out"
  check "ESP $A > $B with SPI 3, reaching $DEATHSTAR_NODE" contains "$seen_there" "$out"
  check "ESP $B > $A with SPI 3, leaving $DEATHSTAR_NODE" contains "$seen_there" "$back"
  check "ESP $B > $A with SPI 3, reaching $SHIP_NODE" contains "$seen_here" "$back"
  KEYID=3
}

rotate_key() {
  local agent began took answer keys_before keys_most keys_after sent received last seen
  agent=$(agent_on "$SHIP_NODE")
  keys_before=$(keys_in_use "$agent")
  say "Rotating the key: reading the Secret"
  echo "\$ read KEYID ALGO PSK KEYSIZE < <(kubectl get secret -n kube-system cilium-ipsec-keys -o go-template='{{.data.keys | base64decode}}{{printf \"\\n\"}}')"
  read KEYID ALGO PSK KEYSIZE < <(kubectl get secret -n kube-system cilium-ipsec-keys -o go-template='{{.data.keys | base64decode}}{{printf "\n"}}')
  echo "KEYID=$KEYID ALGO=$ALGO KEYSIZE=$KEYSIZE"
  check "the key id is 3" test "$KEYID" = 3
  NEW_PSK=($(dd if=/dev/urandom count=20 bs=1 2> /dev/null | xxd -p -c 64))
  patch='{"stringData":{"keys":"'$((($KEYID+1)))' rfc4106(gcm(aes)) '$NEW_PSK' 128"}}'

  say "Patching it, while the tiefighter pings the death star a hundred times a second"
  start_watching_keys "$agent"
  start_capture "$agent" rotation cilium_vxlan esp and src "$A" and dst "$B"
  kubectl -n endor exec deploy/tiefighter -- bash -c "nohup ping -i 0.01 $DEATHSTAR_IP >/tmp/ping 2>&1 & echo \$! >/tmp/ping.pid" </dev/null
  began=$(milliseconds)
  echo "\$ kubectl patch secret -n kube-system cilium-ipsec-keys -p=\"\${patch}\" -v=1"
  answer=$(kubectl patch secret -n kube-system cilium-ipsec-keys -p="${patch}" -v=1)
  echo "$answer"
  check "secret/cilium-ipsec-keys patched" test "$answer" = "secret/cilium-ipsec-keys patched"
  check "the rotation comes to its end" within 60 rotated
  took=$(($(milliseconds) - began))
  check "it took $((took / 1000)).$((took % 1000 / 100)) s (at most 10)" test "$took" -le 10000
  kubectl -n endor exec deploy/tiefighter -- bash -c 'sleep 0.5; kill -INT $(cat /tmp/ping.pid)' </dev/null
  stop_capture "$agent" rotation >/dev/null
  keys_most=$(stop_watching_keys "$agent")
  keys_after=$(keys_in_use "$agent")
  read -r sent received last < <(ping_result)
  echo "$sent pings sent, $received answered, the last one answered was number $last"
  # What was under way when ping was told to end is no loss.
  check "no ping of $last was lost" test "$received" -gt 0 -a "$received" = "$last" -a $((sent - last)) -le 10

  say "Reading the Secret again"
  read NEWKEYID ALGO NEWPSK KEYSIZE < <(kubectl get secret -n kube-system cilium-ipsec-keys -o go-template='{{.data.keys | base64decode}}{{printf "\n"}}')
  echo "NEWKEYID=$NEWKEYID"
  check "the key id is 4 now" test "$NEWKEYID" = 4
  check "the key is another one" test "$NEWPSK" != "$PSK"

  say "Which keys were in use, and what was on cilium_vxlan?"
  echo "keys in use: $keys_before before, $keys_most in between, $keys_after after"
  check "while it lasted, the old and the new key were in use" test "$keys_most" -eq $((2 * keys_before))
  check "afterwards only the new one" test "$keys_after" -eq "$keys_before"
  seen=$(show_capture "$agent" rotation)
  check "ESP with SPI 3 came first" contains "$(head -n 1 <<<"$seen")" "ESP(spi=0x00000003,"
  check "ESP with SPI 4 came last" contains "$(tail -n 1 <<<"$seen")" "ESP(spi=0x00000004,"
  run cilium encryption key-status
}

# ── what the lab does not show: the wire between the nodes ──────────────────────────────────────────────────────────

# Pings with a random marker in every packet, while the tunnel and the wire are recorded.
prove_sealed() {
  local when=$1 agent marker carried other
  agent=$(agent_on "$DEATHSTAR_NODE")
  marker=$(new_marker | cut -c 1-16)
  say "On the wire $when: looking for the marker $marker on $DEATHSTAR_NODE"
  start_capture "$agent" wire eth0
  start_capture "$agent" tunnel cilium_esp0
  check "$when: pings with the marker are answered" ping_with "$marker"
  stop_capture "$agent" tunnel >/dev/null
  stop_capture "$agent" wire >/dev/null
  carried=$(count_in "$agent" wire udp port $PORT)
  other=$(count_in "$agent" wire "'host $DEATHSTAR_IP or esp or icmp'")
  echo "$carried vxlan datagrams (UDP $PORT) on eth0; the marker $(finds "$agent" tunnel "$marker") times inside the tunnel, $(finds "$agent" wire "$marker") times on the wire"
  check "$when: vxlan datagrams on UDP $PORT" test "$carried" -gt 0
  check "$when: the marker went through the tunnel" test "$(finds "$agent" tunnel "$marker")" -gt 0
  check "$when: the marker is never in clear on the wire" test "$(finds "$agent" wire "$marker")" -eq 0
  check "$when: nothing of pods is on the wire but inside UDP $PORT" test "$other" -eq 0
}

# The same look at the wire must find the marker when nothing encrypts: else it proves nothing.
control_without_encryption() {
  local agent marker
  say "The control: the same with encryption switched off"
  run cilium upgrade --reuse-values --set encryption.enabled=false
  run cilium status --wait
  agent=$(agent_on "$DEATHSTAR_NODE")
  marker=$(new_marker | cut -c 1-16)
  start_capture "$agent" wire eth0
  check "without encryption: pings with the marker are answered" ping_with "$marker"
  stop_capture "$agent" wire >/dev/null
  echo "the marker $marker $(finds "$agent" wire "$marker") times on the wire"
  check "without encryption: the same check finds the marker" test "$(finds "$agent" wire "$marker")" -gt 0

  say "Switching encryption on again"
  run cilium upgrade --reuse-values --set encryption.enabled=true --set encryption.type=ipsec
  run cilium status --wait
}

# A marker of 16 letters stands in each packet several times, whole.
ping_with() {
  kubectl -n endor exec deploy/tiefighter -- ping -q -c 5 -i 0.2 -W 2 -s 200 -p "$(printf %s "$1" | xxd -p)" "$DEATHSTAR_IP" </dev/null
}

# ── what is asked ──────────────────────────────────────────────────────────────────────────────────────────────────

# Of the only pod of a class in endor.yaml: CLASS JSONPATH
pod_of() { kubectl -n endor get pod -l "class=$1" -o "jsonpath={.items[0]$(tr -d '{}' <<<"$2")}"; }

internal_ip() {
  kubectl get ciliumnode "$1" -o "jsonpath={.spec.addresses[?(@.type=='CiliumInternalIP')].ip}" | cut -d ' ' -f 1
}

lands() {
  local answer
  echo "\$ kubectl -n endor exec deploy/$1 -- curl -s -m 3 -XPOST $LANDING"
  answer=$(kubectl -n endor exec "deploy/$1" -- curl -s -m 3 -XPOST "$LANDING" </dev/null) || return 1
  echo "$answer"
  [ "$answer" = "Ship landed" ]
}

# How many pings of /tmp/ping were sent and answered, and the number of the last one that was answered.
ping_result() {
  kubectl -n endor exec deploy/tiefighter -- bash -c '
    for _ in $(seq 50); do grep -q transmitted /tmp/ping && break; sleep 0.1; done
    sent=$(sed -nE "s/^([0-9]+) packets transmitted.*/\1/p" /tmp/ping)
    answers=$(sed -nE "s/^[0-9]+ bytes from .* icmp_seq=([0-9]+) .*/\1/p" /tmp/ping | sort -un)
    echo "$sent $(wc -l <<<"$answers") $(tail -n 1 <<<"$answers")"' </dev/null
}

keys_in_use() { in_agent "$1" "cilium encrypt status | sed -n 's/^Keys in use: *//p'" | tr -d ' '; }

# Notes the number again and again.
start_watching_keys() {
  in_agent "$1" "
    rm -f /tmp/lab-keys
    nohup timeout 120 bash -c 'while :; do cilium encrypt status | grep ^Keys >>/tmp/lab-keys; sleep 0.3; done' >/dev/null 2>&1 &
    echo \$! >/tmp/lab-keys.pid"
}

# Prints the greatest.
stop_watching_keys() {
  in_agent "$1" "kill \$(cat /tmp/lab-keys.pid); grep -o '[0-9]*' /tmp/lab-keys | sort -n | tail -n 1"
}

rotated() { cilium encryption status 2>/dev/null | grep -q '^IPsec key rotation in progress: false'; }

hide_key() { sed -E 's/[0-9a-f]{40,}/(40 hex digits)/'; }

main
