#!/usr/bin/env bash
# Train one fold (or all), then write its OOF and test predictions. The same command goes on where it was stopped.
#   scripts/train_fold.sh CONFIG FOLD|all [key=value ...] [--accept-changed-data]
#   scripts/train_fold.sh configs/experiments/toy_crop.yaml 0 batch_size=4
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python="$here/../.venv/bin/python"
[ -x "$python" ] || python=python3
"$python" -c 'import foldseg' 2>/dev/null || {
    echo "error: foldseg is not installed for $python; run scripts/install.sh" >&2
    exit 1
}
exec "$python" "$here/train_fold.py" "$@"
