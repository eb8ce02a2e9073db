#!/bin/sh
# Runs a program of dist/ with a Node of 24 or later: the one that npm ci brought, else the one on PATH.
# Called by the launchers in bin/: tools/node.sh PROGRAM [ARG...]
root=$(dirname "$(dirname "$(readlink -f "$0")")")
program=$1
shift
if [ ! -e "$root/dist/$program.js" ]; then
  echo "$program is not built yet: run 'make build' in $root" >&2
  exit 1
fi
node=$root/node_modules/.bin/node
if [ ! -x "$node" ]; then
  node=$(command -v node) || { echo "Node.js 24 or later is needed: run 'make build' in $root" >&2; exit 1; }
  case $("$node" --version) in
    v1*|v20.*|v21.*|v22.*|v23.*) echo "$node is too old, 24 or later is needed: run 'make build' in $root" >&2; exit 1 ;;
  esac
fi
exec "$node" --disable-warning=ExperimentalWarning "$root/dist/$program.js" "$@"
