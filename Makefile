# Two commands matter on a fresh machine: `make demo` and `make test`. Both set up what they need first.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Where an image has Python keep no bytecode, each of the hundreds that the tests start would compile everything anew.
export PYTHONDONTWRITEBYTECODE :=
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Programs that are in no package and may have to be built; the demo needs the first alone.
BUILT := prometheus promtool etcd kube-apiserver compose-spec
BUILT_FIRST := $(if $(filter test test-faults bench,$(MAKECMDGOALS)),$(BUILT),prometheus)
# Words added to the command of demo, test and bench: make test ARGS="tests/lab -k envoy"
ARGS ?=
# Files of tests at once. They mostly wait for servers, each for its own; a debugger needs JOBS=1.
JOBS ?= 3

# A python3.12 on PATH may be a launcher for a version that is not installed, or lack what makes environments: so ask it.
FITS := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(firstword $(foreach python,python3.11 python3.12 python3.13 python3,$(shell $(python) -c '$(FITS)' >/dev/null 2>&1 && echo $(python))))

PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 $(BIN)/python -m pip
LOCK := $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	--allow-unsafe --strip-extras --no-header

.PHONY: help setup demo test test-faults check fmt bench lock clean

help: ## list the targets
	@echo "make TARGET [ARGS=...]; start with demo or test, which set up what they need"
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

setup: $(STAMP) ## make .venv with everything that demo, tests and development need
	@echo "setup: $(VENV) is ready; next: make demo, or make test"

demo: $(STAMP) ## a ramp on real servers on this machine, without a cluster
	@$(BIN)/python -m lab.programs prometheus >/dev/null
	@$(BIN)/tailramp demo $(ARGS)

test: $(STAMP) ## run the tests
	@$(BIN)/python -m lab.programs $(BUILT) >/dev/null
	@$(BIN)/pytest $(if $(filter-out 1,$(JOBS)),-n $(JOBS) --dist loadfile) $(ARGS)

test-faults: $(STAMP) ## run the whole fault matrices (hours); what becomes of each cell of tests/faults is kept in bench/results/faults.txt
	@$(BIN)/python -m lab.programs $(BUILT) >/dev/null
	@$(BIN)/python -m pytest --no-header -v -m "faults or not faults" --keep-results tests/faults $(ARGS)
	@$(BIN)/python -m pytest --no-header -v -m faults $(filter-out tests/faults tests/conftest.py,$(wildcard tests/*)) $(ARGS)

check: $(STAMP) ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(STAMP) ## format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## run the benchmarks and print their figures
	@$(BIN)/python -m lab.programs prometheus >/dev/null
	@$(BIN)/python -m bench $(ARGS)

lock: $(STAMP) ## pin the dependencies of pyproject.toml anew, within what is pinned already
	$(LOCK) --extra lab --extra dev -o requirements/dev.txt pyproject.toml
	$(LOCK) -c requirements/dev.txt -o requirements/runtime.txt pyproject.toml
	echo setuptools | $(LOCK) -c requirements/dev.txt -o requirements/build.txt -

clean: ## remove .venv and whatever tools left here; built programs stay in the user's cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .tailramp build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: no Python 3.11, 3.12 or 3.13 with the venv module is on PATH." >&2; \
		echo "Install one (Debian: apt-get install python3 python3-venv), or name one: make PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi
	@echo "setup 1/3: making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# Some programs may have to be built, which takes minutes on two cores: that begins while the packages are being fetched.
$(STAMP): requirements/dev.txt pyproject.toml | $(BIN)/python
	@$(BIN)/python -m lab.programs $(BUILT_FIRST) --background
	@echo "setup 2/3: installing the pinned packages (230 MB to fetch)"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@echo "setup 3/3: installing tailramp itself, editable"
	@$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@
