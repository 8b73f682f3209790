# `make repro` runs the whole pipeline, `make test` the tests, `make test-slow` those that take long, `make bench` all benchmarks,
# `make docs` the guide; each sets up `.venv` first.
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := true

.PHONY: repro test test-slow bench docs lint lock clean

repro: $(VENV)/.installed
	dvc repro
	@echo "Open data/report/index.html"

test: $(VENV)/.installed
	pytest -n auto --maxprocesses 8 --dist loadfile

test-slow: $(VENV)/.installed
	pytest -n auto --maxprocesses 8 -m slow

bench: $(VENV)/.installed
	python benchmarks

docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

lint: $(VENV)/.installed
	ruff format --check
	ruff check
	mypy

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

lock:
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		--no-emit-index-url requirements.in -o requirements.lock

clean:
	rm -rf $(VENV) .checkpoints
