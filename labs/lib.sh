# Shared by the labs of this folder: words on the screen, checks with a summary, the agent's shell, recordings.
# Meant to be sourced; needs bash with set -euo pipefail.

started=$SECONDS
passed=0
failed=0
summary=()
# Whose shell the commands of run_in are shown in.
PROMPT_NODE=kind-worker2

# exec -ti as the lab has it, where there is a terminal.
if [ -t 0 ] && [ -t 1 ]; then TTY=-ti; else TTY=-i; fi
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
  bold='' green='' red='' plain=''
fi

# ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────────

say() { echo "${bold}[+] $*${plain}"; }

run() {
  echo "\$ $*"
  "$@"
}

give_up() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# ── checks ─────────────────────────────────────────────────────────────────────────────────────────────────────────

check() {
  local what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    summary+=("${green}pass${plain}  $what")
    echo "    ${green}✔${plain} $what"
  else
    failed=$((failed + 1))
    summary+=("${red}FAIL${plain}  $what")
    echo "    ${red}✘ $what${plain}"
  fi
}

contains() { [[ $1 == *"$2"* ]]; }

matches() { [[ $1 =~ $2 ]]; }

conclude() {
  echo
  say "Summary, after $((SECONDS - started)) s"
  printf '    %s\n' "${summary[@]}"
  echo "    $passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

# ── the cluster ────────────────────────────────────────────────────────────────────────────────────────────────────

# A cluster that kubectl reaches, with these nodes: NODE...
need_cluster() {
  local program node
  for program in kubectl cilium jq xxd; do
    command -v "$program" >/dev/null || give_up "$program is not on PATH: run 'make build' first"
  done
  kubectl get nodes >/dev/null 2>&1 || give_up "kubectl reaches no cluster: bring one up with 'make lab'"
  for node in "$@"; do
    kubectl get node "$node" >/dev/null 2>&1 ||
      give_up "the cluster has no node $node: bring the lab up with 'make lab', or choose its context"
  done
}

# Each part of the lab begins without Cilium.
without_cilium() {
  if kubectl -n kube-system get daemonset cilium >/dev/null 2>&1; then
    say "Cilium is there from before: uninstalling it, as the lab does before this part"
    run cilium uninstall
  fi
}

# Runs the installation, waits for it, and checks the time it takes: ARGUMENTS OF cilium install...
install_in_time() {
  local began took
  began=$(milliseconds)
  run cilium install "$@"
  say "Waiting until everything is up"
  run cilium status --wait
  took=$(($(milliseconds) - began))
  check "installed and ready in $((took / 1000)).$((took % 1000 / 100)) s (at most 30)" test "$took" -le 30000
}

agent_on() {
  kubectl -n kube-system get po -l k8s-app=cilium --field-selector "spec.nodeName=$1" -o name | head -n 1
}

in_agent() { kubectl -n kube-system exec "$1" -- bash -c "$2" </dev/null; }

run_in() {
  echo "root@$PROMPT_NODE:/home/cilium# $2"
  in_agent "$@"
}

# ── recordings, in /tmp/lab-NAME.pcap of an agent ──────────────────────────────────────────────────────────────────

# Until stop_capture: AGENT NAME DEVICE [FILTER...]
start_capture() {
  local agent=$1 name=$2 device=$3
  shift 3
  in_agent "$agent" "
    rm -f /tmp/lab-$name.*
    nohup timeout 120 tcpdump -n -U --immediate-mode -Z root -i $device -w /tmp/lab-$name.pcap $* >/dev/null 2>/tmp/lab-$name.log &
    echo \$! >/tmp/lab-$name.pid
    for _ in \$(seq 100); do grep -qs 'listening on' /tmp/lab-$name.log && exit 0; sleep 0.05; done
    cat /tmp/lab-$name.log >&2; exit 1" || give_up "tcpdump does not start on $device in $agent"
}

# Prints how many packets there were.
stop_capture() {
  in_agent "$1" "
    kill -INT \$(cat /tmp/lab-$2.pid) 2>/dev/null
    for _ in \$(seq 100); do grep -qs 'packets captured' /tmp/lab-$2.log && break; sleep 0.05; done
    tcpdump -n -r /tmp/lab-$2.pcap 2>/dev/null | wc -l"
}

# The packets as text: AGENT NAME [FILTER...]
show_capture() {
  local agent=$1 name=$2
  shift 2
  in_agent "$agent" "tcpdump -n -r /tmp/lab-$name.pcap $* 2>/dev/null || true"
}

# How many of them: AGENT NAME [FILTER...]
count_in() { show_capture "$@" | wc -l; }

# How often a text stands in it, byte for byte: AGENT NAME TEXT
finds() { in_agent "$1" "grep -a -o '$3' /tmp/lab-$2.pcap | wc -l"; }

new_marker() { printf 'marker-%s' "$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"; }

# ── time ───────────────────────────────────────────────────────────────────────────────────────────────────────────

milliseconds() { date +%s%3N; }

wait_until() {
  while [ "$(milliseconds)" -lt "$1" ]; do sleep 0.2; done
}

# Runs a command until it succeeds, for so many seconds at the most: SECONDS COMMAND...
within() {
  local end=$(($(milliseconds) + $1 * 1000))
  shift
  until "$@"; do
    [ "$(milliseconds)" -lt "$end" ] || return 1
    sleep 0.3
  done
}
