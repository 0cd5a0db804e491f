#!/usr/bin/env bash
# usage: scripts/demo.sh [--help]
# Go the whole way on the toy city: make folds, train three experiments, predict, blend, score, write a submission.
set -eu
if [ $# -gt 0 ]; then
    case $1 in
    -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" && exit 0 ;;
    *) echo "demo.sh: unknown argument '$1'; it takes none (scripts/demo.sh --help)" >&2 && exit 2 ;;
    esac
fi
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"

ensemble=configs/ensembles/toy.yaml
steps=()
if ! python -c 'import pydensecrf.densecrf' 2>/dev/null; then
    echo "NOTE: pydensecrf is not installed, so the demo goes on without CRF (scripts/install.sh says how to get it)"
    steps=('steps=[{kind: clean_up, min_area: 6}]')
fi

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

run foldseg folds configs/data/toy_city.yaml
for variant in full crop resized; do
    run scripts/train_fold.sh "configs/experiments/toy_$variant.yaml" all
done
run scripts/predict_ensemble.py "$ensemble" ${steps[@]+"${steps[@]}"}
run foldseg show-ensemble "$ensemble" submissions/toy/summary.png ${steps[@]+"${steps[@]}"}
printf '\nLook at submissions/toy/summary.png, and open notebooks/02_error_analysis.ipynb.\n'
