#!/usr/bin/env bash
#
# Pod-to-pod encryption with WireGuard, from installing it to seeing it on the wire.
#
#     pod-worker                                        pod-worker2
#         │ eth0                                            │ eth0
#    ┌────┴───────── kind-worker ───┐     ┌── kind-worker2 ─┴──────────┐
#    │ lxc…                         │     │                       lxc… │
#    │   cilium_wg0  (pod packets)  │     │  (pod packets)  cilium_wg0 │
#    │        └──── eth0 ───────────┼─────┼──────────── eth0 ────┘     │
#    └──────────────────────────────┘     └────────────────────────────┘
#                     WireGuard, UDP 51871: no pod packet in the clear
#
# Runs against the cluster that kubectl talks to, with nodes kind-worker and kind-worker2 (`make lab`), as often as you
# like. Exit status 0: every check passed. The cluster stays up, encrypted, with both pods running.

set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
export PATH="$PWD/../bin:$PATH"
. ./lib.sh

NODES=(kind-worker kind-worker2)
PORT=51871

main() {
  need_cluster "${NODES[@]}"
  fresh_start
  install_cilium
  compare_keys
  deploy_pods
  watch_ping
  prove_sealed "with encryption"
  control_without_encryption
  prove_sealed "with encryption again"
  conclude
}

# ── the lab's steps ────────────────────────────────────────────────────────────────────────────────────────────────

# The lab begins without Cilium and without the pods.
fresh_start() {
  kubectl delete -f pod1.yaml -f pod2.yaml -f endor.yaml --ignore-not-found >/dev/null
  without_cilium
}

install_cilium() {
  say "Is the kernel recent enough for WireGuard? If it has none, the engine brings its own"
  run uname -ar

  say "Installing Cilium with WireGuard"
  install_in_time --version 1.14.5 \
    --set encryption.enabled=true \
    --set encryption.type=wireguard
}

compare_keys() {
  local peers
  CILIUM_POD=$(agent_on kind-worker2)

  # Nothing crosses the tunnel before there are pods. Listening begins now, and ends when they are deployed.
  start_capture "$CILIUM_POD" silence cilium_wg0
  silent_since=$(milliseconds)

  say "Every node made a key pair and published the public half"
  run kubectl get ciliumnode kind-worker2 \
    -o "jsonpath={.metadata.annotations.network\.cilium\.io/wg-pub-key}"
  echo
  key=$(kubectl get ciliumnode kind-worker2 \
    -o "jsonpath={.metadata.annotations.network\.cilium\.io/wg-pub-key}")

  say "The agent on that node is"
  run kubectl -n kube-system get po -l k8s-app=cilium --field-selector spec.nodeName=kind-worker2 -o name

  say "In its shell: was WireGuard set up?"
  run_in "$CILIUM_POD" 'cilium status | grep Encryption'
  encryption=$(in_agent "$CILIUM_POD" 'cilium status | grep Encryption')
  peers=$(($(kubectl get nodes -o name | wc -l) - 1))
  check "the annotation of kind-worker2 is a WireGuard key" matches "$key" '^[A-Za-z0-9+/]{43}=$'
  check "cilium status shows the key of the annotation" contains "$encryption" "Pubkey: $key"
  check "it listens on UDP $PORT" contains "$encryption" "Port: $PORT"
  check "Peers: $peers, one less than there are nodes" contains "$encryption" "Peers: $peers)"
  check "node encryption is off" contains "$encryption" "NodeEncryption: Disabled"
}

deploy_pods() {
  local silent lines counters
  say "Is tcpdump on the agent?"
  run_in "$CILIUM_POD" 'command -v tcpdump || { apt-get update && apt-get -y install tcpdump; }'

  say "No pods yet: tcpdump -n -i cilium_wg0 shows nothing"
  wait_until $((silent_since + 4000))
  silent=$((($(milliseconds) - silent_since) / 1000))
  lines=$(stop_capture "$CILIUM_POD" silence)
  check "no packet on cilium_wg0 in $silent s of listening" test "$lines" -eq 0
  # What was missed before listening, heartbeats of the agents among it, would stand here.
  counters=$(in_agent "$CILIUM_POD" 'cd /sys/class/net/cilium_wg0/statistics && cat rx_packets tx_packets | xargs')
  check "nor in all the time since cilium_wg0 was made (received, sent: $counters)" test "$counters" = "0 0"

  say "Deploying two pods on different nodes"
  echo "\$ kubectl apply -f pod1.yaml -f pod2.yaml -o yaml"
  kubectl apply -f pod1.yaml -f pod2.yaml -o yaml >/dev/null
  kubectl wait --for=condition=Ready -f pod1.yaml -f pod2.yaml --timeout=60s >/dev/null
  run kubectl get -f pod1.yaml -f pod2.yaml -o wide
  POD1=$(kubectl get pod pod-worker --template '{{.status.podIP}}')
  POD2=$(kubectl get pod pod-worker2 --template '{{.status.podIP}}')
  echo "POD2=$POD2"
}

watch_ping() {
  local packets
  say "Pinging from one to the other, and listening on kind-worker2's cilium_wg0"
  start_capture "$CILIUM_POD" ping cilium_wg0 icmp
  run kubectl exec "$TTY" pod-worker -- ping -c 3 -i 0.3 "$POD2"
  stop_capture "$CILIUM_POD" ping >/dev/null
  packets=$(show_capture "$CILIUM_POD" ping)
  echo "$packets"
  check "ICMP echo requests $POD1 > $POD2 on cilium_wg0" contains "$packets" "IP $POD1 > $POD2: ICMP echo request"
  check "ICMP echo replies $POD2 > $POD1 on cilium_wg0" contains "$packets" "IP $POD2 > $POD1: ICMP echo reply"
}

# ── what the lab does not show: the wire between the nodes ──────────────────────────────────────────────────────────

# Sends a random marker from pod to pod while both the tunnel and the wire are recorded.
prove_sealed() {
  local when=$1 agent marker wire
  agent=$(agent_on kind-worker2)
  marker=$(new_marker)
  say "On the wire $when: looking for the marker $marker on kind-worker2"
  start_capture "$agent" wire eth0
  start_capture "$agent" tunnel cilium_wg0
  check "$when: pod-worker2 receives what pod-worker sends" send_marker "$marker"
  stop_capture "$agent" tunnel >/dev/null
  stop_capture "$agent" wire >/dev/null
  wire=$(count_in "$agent" wire udp port $PORT)
  echo "$wire WireGuard datagrams (UDP $PORT) on eth0; the marker $(finds "$agent" tunnel "$marker") times inside the tunnel, $(finds "$agent" wire "$marker") times on the wire"
  check "$when: WireGuard datagrams on UDP $PORT" test "$wire" -gt 0
  check "$when: the marker went through the tunnel" test "$(finds "$agent" tunnel "$marker")" -gt 0
  check "$when: the marker is never in clear on the wire" test "$(finds "$agent" wire "$marker")" -eq 0
}

# The same look at the wire must find the marker when nothing encrypts: else it proves nothing.
control_without_encryption() {
  local agent marker
  say "The control: the same with encryption switched off"
  run cilium upgrade --reuse-values --set encryption.enabled=false
  run cilium status --wait
  agent=$(agent_on kind-worker2)
  marker=$(new_marker)
  start_capture "$agent" wire eth0
  check "without encryption: pod-worker2 receives what pod-worker sends" send_marker "$marker"
  stop_capture "$agent" wire >/dev/null
  echo "the marker $marker $(finds "$agent" wire "$marker") times on the wire"
  check "without encryption: the same check finds the marker" test "$(finds "$agent" wire "$marker")" -gt 0

  say "Switching encryption on again"
  run cilium upgrade --reuse-values --set encryption.enabled=true --set encryption.type=wireguard
  run cilium status --wait
}

# From pod-worker to pod-worker2, by UDP; fails when it does not arrive.
send_marker() {
  kubectl exec pod-worker2 -- bash -c '
    rm -f /tmp/received /tmp/listening
    nohup timeout 30 tcpdump -n -l --immediate-mode -Z root -i eth0 -A udp port 9999 >/tmp/received 2>/tmp/listening &
    for _ in $(seq 100); do grep -qs "listening on" /tmp/listening && exit 0; sleep 0.05; done
    cat /tmp/listening >&2; exit 1'
  kubectl exec pod-worker -- bash -c "for _ in 1 2 3 4 5; do echo '$1' >/dev/udp/$POD2/9999; sleep 0.1; done"
  kubectl exec pod-worker2 -- bash -c "for _ in \$(seq 100); do grep -qs '$1' /tmp/received && exit 0; sleep 0.05; done; exit 1"
}

main
