# make setup | demo | test | lint | clean | help. All are safe to run again.
# Variables: PYTHON (a Python 3.9 to 3.12), VENV (where the environment is), PYTEST_ARGS.

VENV ?= .venv
PYTEST_ARGS ?=
export OMP_NUM_THREADS ?= 2
# Training on a CPU allocates and frees large tensors all the time. Keeping the memory instead of handing it back to the kernel
# made it several times faster on a loaded virtual machine (glibc; ignored elsewhere).
export MALLOC_MMAP_MAX_ ?= 0
export MALLOC_TRIM_THRESHOLD_ ?= 8589934592
export MALLOC_TOP_PAD_ ?= 268435456

# The first Python on the path that is supported.
ifndef PYTHON
PYTHON := $(shell for python in python3 python3.11 python3.10 python3.12 python3.9; do \
	$$python -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	&& { echo $$python; break; }; done)
endif

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PINS := -c requirements/known-good.txt
STAMP := $(VENV)/.setup-done

.PHONY: setup demo test lint clean help
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## make the environment in .venv with the known-good versions

# Written last: an interrupted set-up is taken up again by the next call.
$(STAMP): requirements.txt $(wildcard requirements/*.txt) setup.py
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		if ! '$(PYTHON)' -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then \
			echo "sapiens_mm needs Python 3.9 to 3.12, and PYTHON='$(PYTHON)' is none. Install one and name it:" \
			     "make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
		'$(PYTHON)' -m venv $(VENV) || { \
			echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
			exit 1; }; \
	fi
	$(PIP) install --quiet --upgrade pip
	@# xtcocotools has no wheel for Python 3.12; built on numpy 2 it runs on numpy 1 too, but not the other way round.
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 12))' \
	&& ! $(BIN)/python -c 'import xtcocotools.mask' >/dev/null 2>&1; then \
		command -v cc >/dev/null || { \
			echo "Python 3.12 needs a C compiler to build xtcocotools: install gcc, or use Python 3.11." >&2; exit 1; }; \
		set -x; \
		$(PIP) install 'numpy>=2,<2.4' cython 'setuptools<82' wheel \
		&& $(PIP) install --no-build-isolation --no-deps --no-binary xtcocotools xtcocotools==1.14.3; \
	fi
	$(PIP) install $(PINS) -r requirements.txt -r requirements/tests.txt
	$(PIP) install --quiet --no-deps -e .
	@# Machines without a display often lack the library that opencv-python's windows need.
	@$(BIN)/python -c 'import cv2' >/dev/null 2>&1 || { set -x; $(PIP) uninstall --yes opencv-python \
		&& $(PIP) install $(PINS) opencv-python-headless; }
	@$(BIN)/python -m sapiens_mm.env > $(VENV)/env.txt 2>&1 || { cat $(VENV)/env.txt; exit 1; }
	@touch $@
	@echo "The environment is ready in $(VENV); $(VENV)/env.txt lists it."

demo: $(STAMP)  ## fine-tune and evaluate a tiny Sapiens on toy humans (minutes on two cores)
	@$(BIN)/python demo/toy_pose.py

test: $(STAMP)  ## run the tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(STAMP)  ## check the style
	@$(BIN)/ruff check .

clean:  ## remove build leftovers; environment, data and work_dirs stay
	@rm -rf build dist *.egg-info sapiens_mm/compat/chumpy_stub/build sapiens_mm/compat/chumpy_stub/*.egg-info \
		.pytest_cache .ruff_cache
	@find sapiens_mm tests tools configs demo -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
