#!/usr/bin/env bash
# Tests and figures that need a GPU, in one command of at most nine minutes. It needs a clone, Python
# and a GPU, and writes gpu.md into the working folder, or into the folder $1.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$PWD}/gpu.md
begun=$SECONDS

# Each step has a part of the time. A step that fails or is late is noted, and the next one runs.
step() {
  local title=$1 seconds=$2
  shift 2
  local left=$((530 - SECONDS + begun))
  [ "$left" -gt 10 ] || { printf '\n## %s\n\nNot run: no time was left.\n' "$title" >> "$out"; return; }
  [ "$seconds" -lt "$left" ] || seconds=$left
  printf '\n## %s\n\n`%s`\n\n```text\n' "$title" "$*" >> "$out"
  local start=$SECONDS
  (cd "$root" && timeout "$seconds" "$@") 2>> "$out.errors" | tail -60 >> "$out"
  local code=${PIPESTATUS[0]}
  printf '```\n\nExit code %s, %s s\n' "$code" "$((SECONDS - start))" >> "$out"
  [ "$code" -eq 0 ] || { failed=1; tail -15 "$out.errors" | sed 's/^/    /' >> "$out"; }
}

failed=0
: > "$out.errors"
printf '# clipfeat on a GPU, %s\n\n' "$(date +%F)" > "$out"
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader >> "$out"
printf '\n%s cores, commit %s\n' "$(nproc)" "$(git -C "$root" rev-parse --short HEAD 2>/dev/null)" >> "$out"

# A build of torch that is already installed is kept.
venv=$(mktemp -d)
trap 'rm -rf "$venv" "$out.errors"' EXIT
python3 -m venv --system-site-packages "$venv"
export PATH=$venv/bin:$PATH
step "Installation" 180 python -m pip install -q -e '.[test]'
step "Devices" 60 python -c \
  'import torch; print(torch.__version__, torch.cuda.get_device_name(), torch.cuda.device_count())'
step "Tests" 120 python -m pytest -m gpu -q -p no:cacheprovider
step "Embedding" 240 python benchmarks/embedding.py vit-b-32 vit-l-14 efficientnet-b0 \
  --images 4096 --repeats 1 --skip clip-retrieval --skip transformers
step "Decoding and classifiers" 120 python benchmarks/gpu.py
printf '\n%s s in all\n' "$((SECONDS - begun))" >> "$out"
cat "$out"
exit "$failed"
