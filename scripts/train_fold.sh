#!/usr/bin/env bash
# usage: scripts/train_fold.sh EXPERIMENT FOLD|all [key=value ...]
# Train one fold, or all of them, and predict OOF and test images. This is `foldseg train`. Example:
#   scripts/train_fold.sh configs/experiments/toy_crop.yaml 0 batch_size=4
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python="$here/../.venv/bin/python"
[ -x "$python" ] || python=python3
"$python" -c 'import foldseg' 2>/dev/null || {
    echo "error: foldseg is not installed for $python; run scripts/install.sh" >&2
    exit 1
}
exec "$python" -m foldseg train "$@"
