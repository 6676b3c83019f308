# Two commands set up everything on a machine that has Python 3.11, pip, make and git: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
MEASURED := $(VENV).measured/bin
WORKERS ?= 3
KILLS ?= 30

.PHONY: demo test lint types floors unit every cover kills shells bench measured generated session clean

demo: $(VENV)/.installed
	$(BIN)/jobfetch demo

test: lint types floors every

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff format --check --no-cache .
	$(BIN)/ruff check --no-cache .

types: $(VENV)/.dev
	$(BIN)/mypy

floors: $(VENV)/.dev
	$(BIN)/lint-imports --no-cache

unit: $(VENV)/.dev
	$(BIN)/pytest

# every test, in $(WORKERS) processes
every: $(VENV)/.dev
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

# the same with branch coverage, which follows the program into processes of its own: twice as long
cover: $(VENV)/.dev
	rm -f .coverage .coverage.*
	JOBFETCH_FOLLOW=yes $(BIN)/coverage run -m pytest -n $(WORKERS) --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=96

# kills a batch at every named step and at random moments, well and ill, and tells where each kill landed
kills: $(VENV)/.dev
	JOBFETCH_KILLS=$(KILLS) $(BIN)/pytest tests/outside/test_batch_kill.py -s

# start-up, many small jobs and one large file, against what people run instead, and what very many jobs cost; prints ratios
bench: measured
	$(MEASURED)/python benchmarks/startup.py
	$(MEASURED)/python benchmarks/batch.py
	$(MEASURED)/python benchmarks/large.py
	$(MEASURED)/python benchmarks/many.py
	$(MEASURED)/python benchmarks/tables.py
	$(MEASURED)/python benchmarks/tables.py --format parquet
	$(MEASURED)/python benchmarks/big.py

# the program as a user has it, in an environment of its own: an editable install starts later
measured:
	test -d $(VENV).measured || $(PYTHON) -m venv $(VENV).measured
	$(MEASURED)/python -m pip install --quiet --disable-pip-version-check '.[bench]'
	$(MEASURED)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps .

# completions in every shell there is a file for: one that is not installed fails
shells: $(VENV)/.dev
	JOBFETCH_SHELLS=all $(BIN)/pytest tests/outside/test_completions.py

# the files that are made from code: tests compare them
generated: $(VENV)/.dev
	$(BIN)/python completions/generate.py
	$(BIN)/python docs/documents.py

# the picture of a terminal in the README, from a real run
session: $(VENV)/.dev
	$(BIN)/python docs/session.py

clean:
	rm -rf $(VENV) $(VENV).measured .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache dist jobfetch-demo
