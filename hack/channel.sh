#!/usr/bin/env bash
# Prints the channel of the Gateway API that the running cluster has: experimental, standard, or nothing.
set -euo pipefail
cluster=$1
[ -x "$cluster" ] || exit 0
$cluster kubectl get crd gateways.gateway.networking.k8s.io \
  -o jsonpath='{.metadata.annotations.gateway\.networking\.k8s\.io/channel}' 2>/dev/null || true
