#!/bin/bash
# The main job, from nothing to pods that talk encrypted, proven on the wire: tools/demo.sh [LAB [wireguard|ipsec]]
set -euo pipefail
cd "$(dirname "$0")/.."
lab=${1:-kind}
encryption=${2:-wireguard}
began=$SECONDS

# The demo's pods name the nodes they run on.
if [ "$lab" != kind ]; then
  echo "LAB=$lab is not possible: the demo's pods run on kind-worker and kind-worker2; leave LAB out" >&2
  exit 2
fi
case $encryption in
  wireguard) ping="kubectl exec -ti pod-worker -- ping \$(kubectl get pod pod-worker2 --template '{{.status.podIP}}')" ;;
  ipsec) ping='kubectl -n endor exec -ti deploy/tiefighter -- curl -XPOST deathstar.endor.svc.cluster.local/v1/request-landing' ;;
  *) echo "ENCRYPTION=$encryption is unknown: write wireguard or ipsec" >&2; exit 2 ;;
esac

pellicle lab up --name "$lab"
"labs/$encryption.sh"

cat <<END

The whole took $((SECONDS - began)) s. The cluster stays up; go on by hand:

  export PATH=$PWD/bin:\$PATH
  kubectl get nodes,pods -A -o wide
  cilium status
  cilium encryption status
  kubectl -n kube-system exec -ti ds/cilium -- cilium status
  $ping
  make lab-down        removes it all
END
