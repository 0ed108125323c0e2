#!/usr/bin/env bash
# Runs the client of @grpc/grpc-js. Its source and its project are in ../typescript, which has both clients.
#
#	examples/grpc-js/run.sh DIST WORK [MAIN]
set -euo pipefail
CLIENT=grpc-js exec "$(dirname "$0")/../typescript/run.sh" "$@"
