#!/usr/bin/env bash
# usage: scripts/install.sh [--help]
# Install foldseg, the packages that it needs and its development tools into .venv, with uv if you have it, otherwise with pip.
# Without uv, PYTHON=/path/to/python3.11 chooses the Python.
set -eu
if [ $# -gt 0 ]; then
    case $1 in
    -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" && exit 0 ;;
    *) echo "install.sh: unknown argument '$1'; it takes none (scripts/install.sh --help)" >&2 && exit 2 ;;
    esac
fi
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
if command -v uv >/dev/null; then
    [ -x .venv/bin/python ] || uv venv --quiet --python ">=3.11" .venv
    add() { uv pip install --quiet --python .venv/bin/python "$@"; }
else
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "foldseg needs Python 3.11 or newer; $python is $("$python" --version). Set PYTHON=/path/to/python3.11" >&2
        exit 1
    }
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --upgrade pip
    add() { .venv/bin/python -m pip install --quiet "$@"; }
fi

echo "installing requirements.txt (torch with its CUDA libraries: about 6 GB, 2 to 7 minutes)"
add -r requirements.txt -r requirements-dev.txt --editable .

echo "building pydensecrf2 for the dense CRF (needs a C++ compiler, takes about a minute)"
add pydensecrf2==1.1 || {
    echo "NOTE: pydensecrf2 could not be built. Is there a C++ compiler? (e.g. apt-get install g++)" >&2
    echo "NOTE: Only the step crf needs it. Leave that step out of an ensemble's steps." >&2
}
