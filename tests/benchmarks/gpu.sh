#!/usr/bin/env bash
# The benchmarks that a GPU changes, on one card, in under five minutes: tests/benchmarks/gpu.sh [--toy]
# Random weights and drawn images, no network. Without a GPU, or with --toy, everything runs on the CPU at toy size: that
# tells whether the parts run, not how fast. Ends with a table; exit status 1 if a part failed, the others run all the same.
set -euo pipefail
if ! nvidia-smi -L 2>/dev/null; then
    set -- --toy
fi
if [ "${1:-}" = --toy ]; then
    # TorchDynamo disabled, the compiled runs take the same path without waiting for a C++ compiler.
    export ACCELERATE_USE_CPU=true TORCHDYNAMO_DISABLE=1
fi
export HF_HUB_OFFLINE=1 CUBLAS_WORKSPACE_CONFIG=:4096:8
exec "${PYTHON:-python}" "$(dirname "$0")/gpu_parts.py" "$@"
