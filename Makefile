# make demo     go the whole way on the toy city
# make test     run the tests
# make check    run ruff and mypy
# make docs     build the documentation
# Each of these first installs everything into .venv: with uv if you have it, with pip otherwise.
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
