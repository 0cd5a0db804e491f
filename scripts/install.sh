#!/usr/bin/env bash
# Install foldseg, what it needs and its development tools into .venv: with uv when it is there, with pip otherwise.
set -eu
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

echo "building pydensecrf2 for the dense CRF (wants a C++ compiler, about a minute)"
add pydensecrf2==1.1 || {
    echo "NOTE: pydensecrf2 could not be built (is a C++ compiler there? e.g. apt-get install g++)." >&2
    echo "NOTE: everything works without it but the crf step: leave it out of an ensemble's steps." >&2
}
