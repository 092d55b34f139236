# Every target makes .venv and installs what it needs, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: demo test test-slow soak bench lint docs dashboard clean
.DEFAULT_GOAL := demo

# One stamp per set of packages: a changed pyproject.toml or constraints.txt installs again.
$(VENV)/.run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[run]'
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lint,test]'
	touch $@

demo: $(VENV)/.run
	$(BIN)/python -m mmstudy.cli.demo $(DEMO)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m 'not slow'

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest

# Kills, power cuts, copies, wrong clocks, every damaged file under every command, 3,000 edits of what
# is ingested, faults planted in slices: all of what test-slow does a sample of. About three hours.
soak: $(VENV)/.dev
	MATRIX=full $(BIN)/python -m pytest -s tests/mmstudy/test_matrix.py
	SOAK=full $(BIN)/python -m pytest -s --show-capture=no tests/mmstudy/test_soak.py
	SOAK=full $(BIN)/python -m pytest -s tests/mmcaf/data/ingest/test_mutations.py
	$(BIN)/python tests/soak/neighbours.py

# Figures beside their targets; fails where one is missed.
bench: $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lint,test,bench]'
	set -e; for script in tests/benchmarks/bench_*.py; do $(BIN)/python $$script; done

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy mmcaf platform/mmstudy dashboards

# The reference pages and the tables inside docs/architecture.md, from the program.
docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py

dashboard: $(VENV)/.run
	$(BIN)/mmstudy dashboard --root $(DEMO)/studies

clean:
	rm -rf $(VENV) $(DEMO) .pytest_cache .mypy_cache .ruff_cache .hypothesis test-results
