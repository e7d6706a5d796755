# Two commands on a new clone: `make demo` and `make test`. Nothing else is needed by hand.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALL := -m pip install --quiet --disable-pip-version-check -c constraints.txt -e
READY := $(VENV)/.ready
RUNS := $(VENV)/.runs
PAPER := paper-linear paper-deep paper-polynomial paper-images paper-bayes rivals \
	adaptive-kernels depth-transfer which-layers kernel-evolution questions phase

.PHONY: setup demo readme reference paper standard calibration test test-faults test-fuzz wheel-check check bench docs clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) ".[dev]"
	touch $(READY) $(RUNS)

$(RUNS): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) .
	touch $(RUNS)

demo: $(RUNS)        ## run the quickstart suite on real data and write its report
	$(BIN)/limitbench run quickstart

readme: demo         ## put the leaderboard and figures of the demo into the README
	$(BIN)/python docs/readme_results.py results/quickstart

reference: demo      ## make the leaderboard in results/reference from the demo
	$(BIN)/python docs/reference_leaderboard.py results/quickstart

paper: setup         ## run all suites with claims, and judge them; three hours, needs TFDS_DATA_DIR; PAPER=phase for one
	for suite in $(PAPER); do $(BIN)/limitbench run $$suite || exit; done
	$(BIN)/python docs/reference_claims.py $(addprefix results/,$(PAPER))

standard: setup      ## train the networks of the standard leaderboard, solve its theories; needs TFDS_DATA_DIR
	$(BIN)/limitbench run standard --results results/standard-run
	$(BIN)/python docs/standard_results.py results/standard-run

calibration: setup   ## put the measured reliability of verdicts into docs/scoring.md; minutes
	$(BIN)/python docs/calibration_table.py

test: setup          ## all tests; those that need ../shared skip without it
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -m "not benchmark"

test-faults: setup   ## kill runs and Dask clusters at random moments; `make test` at a few
	FAULT_KILLS=30 $(BIN)/python -m pytest -q tests/faults

test-fuzz: setup     ## fifty times as much hostile input as `make test`, at random
	FUZZ=50 $(BIN)/python -m pytest -q tests/unit/suites/test_bounds.py tests/unit/store/test_any_content.py

wheel-check:         ## the smoke suite from a wheel, with the newest Python and packages at hand
	$(PYTHON) .ci/wheel_check.py

bench: setup         ## measure speed; prints, asserts no time
	$(BIN)/python -m pytest -q -s -m benchmark --jaxtyping-packages= tests/benchmarks

check: setup         ## format, lint, direction of imports, types, docs
	$(BIN)/ruff format --check harness plugins tasks tests
	$(BIN)/ruff check harness plugins tasks tests
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/mypy
	$(BIN)/mypy plugins/*/*.py plugins/*/*/*.py
	$(BIN)/mypy tasks/*.py tasks/*/*.py
	$(BIN)/mypy tests
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs: setup          ## serve the documentation
	$(BIN)/mkdocs serve

clean:
	rm -rf $(VENV) site build dist .pytest_cache .mypy_cache .ruff_cache
