# One word per habit. Each needs nothing done before it but Python >= 3.11 with pip.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python -m

.PHONY: demo test check bench results clean

demo: .venv/.core  ## install, train on data that comes with the install, open the test split
	$(BIN)/deepen train digits
	$(BIN)/deepen evaluate runs/latest

test: .venv/.dev  ## the tests; DEEPEN_DATA=FOLDER adds those on real data
	$(RUN) pytest -m "not results"

check: .venv/.dev  ## format, lint, types
	$(BIN)/ruff format $(if $(CI),--check) .
	$(BIN)/ruff check $(if $(CI),,--fix) .
	$(BIN)/mypy

results: .venv/.dev  ## the slower accuracy runs on real data, into docs/results.md
	$(RUN) pytest -m results -s

bench: .venv-bench/.done  ## the comparisons of docs/performance.md
	.venv-bench/bin/python -m bench

.venv/.core: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/.dev: .venv/.core
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[rl,data,dev]'
	touch $@

.venv-bench/.done: pyproject.toml constraints.txt bench/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r bench/requirements.txt -e '.[rl]'
	touch $@

clean:
	rm -rf .venv .venv-bench
