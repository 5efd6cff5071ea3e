#!/bin/sh
# Builds the server for this machine, and the agent without cgo for each kind of device, into bin/.
set -eu
cd "$(dirname "$0")/.."
go build -trimpath -o bin/bulkhead ./cmd/bulkhead
for target in amd64 arm64 arm/6 arm/7; do
  arch=${target%/*}
  arm=
  case $target in */*) arm=${target#*/} ;; esac
  name=bin/bulkhead-agent-linux-$arch${arm:+v$arm}
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch GOARM=$arm go build -trimpath -ldflags '-s -w' -o "$name" ./cmd/bulkhead-agent
  printf '%s\n' "$name"
done
