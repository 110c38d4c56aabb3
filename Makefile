# Two commands: make demo, make test. Both set up what they need and can be run again.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
DICOMWEB := /usr/share/orthanc/plugins/libOrthancDicomWeb.so
STUDY ?=
PORT ?= 8501

export OMP_NUM_THREADS ?= 2
export MALLOC_MMAP_THRESHOLD_ ?= 8589934592
export MALLOC_TRIM_THRESHOLD_ ?= 8589934592

# What is installed does not depend on each other, and mostly waits for the network.
MAKEFLAGS += --jobs=3

.PHONY: setup demo test lint system workflow clean

setup: $(VENV)/installed app/assets/niivue.js

# torch goes first: with it in place no other package asks for another build of it.
$(VENV)/installed: pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "Python 3.11 is needed: $(PYTHON) was not found (make PYTHON=...)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV); the first time takes some minutes"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

app/assets/niivue.js: app/frontend/package-lock.json | $(VENV)/installed
	$(BIN)/python app/frontend/build.py

demo: setup
	@$(BIN)/avatar demo --port $(PORT) $(if $(STUDY),--study "$(STUDY)") $(if $(NO_BOARD),--no-board)

# Chromium drives the board in the browser tests, dciodvfy checks DICOM files, Orthanc is a PACS and PostgreSQL a
# database; tests skip without them, and say so.
system:
	@{ command -v chromium && command -v dciodvfy && test -e $(DICOMWEB) && ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1 || sh .ci/packages || true

# Snakemake, which workflow/ is for, in an environment of its own: it needs an older SQLAlchemy than the store.
workflow: $(VENV)-snakemake/installed

$(VENV)-snakemake/installed:
	@{ $(PYTHON) -m venv $(VENV)-snakemake \
	  && $(VENV)-snakemake/bin/python -m pip install --quiet --disable-pip-version-check "snakemake>=9.20,<10" \
	  && touch $@; } || echo "Snakemake could not be installed: the test of workflow/ is skipped, and says so"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup system workflow lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup --no-loadscope-reorder --durations=25

clean:
	rm -rf $(VENV) $(VENV)-snakemake runs app/frontend/node_modules app/assets/niivue.js
