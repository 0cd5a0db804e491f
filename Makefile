# make demo | make test | make check | make docs; each installs into .venv first (with uv when it is there, pip otherwise)
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: install demo test check docs clean-demo

install: .venv/installed

.venv/installed: requirements.txt requirements-dev.txt pyproject.toml scripts/install.sh
	scripts/install.sh
	touch $@

demo: install
	scripts/demo.sh

test: install
	pytest -n logical --maxprocesses 4 --dist worksteal

check: install
	ruff check .
	ruff format --check .
	mypy

docs: install
	mkdocs build --quiet

clean-demo:
	rm -rf data/toy_city runs/toy_full runs/toy_crop runs/toy_resized submissions/toy
