#!/bin/bash
# The main job, from nothing to pods that talk through WireGuard, proven on the wire: tools/demo.sh [LAB]
set -euo pipefail
cd "$(dirname "$0")/.."
lab=${1:-kind}
began=$SECONDS

pellicle lab up --name "$lab"
labs/wireguard.sh

cat <<END

The whole took $((SECONDS - began)) s. The cluster stays up; go on by hand:

  export PATH=$PWD/bin:\$PATH
  kubectl get nodes,pods -A -o wide
  cilium status
  kubectl -n kube-system exec -ti ds/cilium -- cilium status
  kubectl exec -ti pod-worker -- ping \$(kubectl get pod pod-worker2 --template '{{.status.podIP}}')
  make lab-down        removes it all
END
