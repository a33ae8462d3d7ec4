#!/bin/bash
# The tests of gallery stores on a real Milvus server, which sees no network but its own.
#
#     pip install "pymilvus>=3,<4" milvus==2.3.5 numpy pillow pytest
#     bash tests/benchmarks/milvus_server.sh [options of pytest]
#
# Linux only. The server listens on all interfaces, so it gets a network namespace with nothing but loopback;
# it ends with the process namespace.
set -eu
cd "$(dirname "$0")/../.."
if [ "${1:-}" != --inside ]; then
    exec unshare --map-root-user --net --pid --fork --mount-proc --kill-child bash "$PWD/tests/benchmarks/milvus_server.sh" --inside "$@"
fi
shift
ip link set lo up
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
milvus-server --data "$data" > "$data/output" 2>&1 &
for _ in $(seq 60); do
    sleep 1
    if (exec 3<> /dev/tcp/127.0.0.1/19530) 2> "$data/no_port"; then break; fi
done
MASKPS_MILVUS=http://127.0.0.1:19530 PYTHONPATH=$PWD python -m pytest -q --confcutdir tests/gallery \
    tests/gallery/test_stores.py -k milvus "$@"
