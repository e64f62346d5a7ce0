# Two commands do all the set-up on a fresh machine: `make demo` makes pictures, `make test` passes the tests.
# Both work in .venv and leave the system's Python alone. Python 3.10 to 3.12: `make test PYTHON=python3.10`.
# `make test-oldest` tests on the oldest versions, in .venv-oldest.

PYTHON ?= python3
TORCH ?= torch==2.13.0
BIN := .venv/bin
OLDEST := .venv-oldest/bin
SHELL := /bin/bash
# Without an NVIDIA driver the CUDA build of torch is several GB for nothing: prefer the CPU build where there is one.
# Torch alone is looked up there, once: where that index cannot be reached, pip goes on with the others.
TORCH_INDEX := $(shell command -v nvidia-smi >/dev/null 2>&1 || \
  echo --no-deps --retries 0 --timeout 20 --extra-index-url https://download.pytorch.org/whl/cpu)

# Prints where a Python 3.10 lies. pyenv's python3.10 runs only if one of its versions is chosen.
FIND_PYTHON_310 = for version in "" $$(pyenv versions --bare 2>/dev/null | grep '^3\.10\.'); do \
  PYENV_VERSION=$$version python3.10 -c 'import sys; print(sys.executable)' 2>/dev/null && exit; done; \
  echo "There is no Python 3.10: no python3.10 in PATH runs, and pyenv has none." >&2; exit 1
# What says nothing about old versions: the tests of hosts, of what no host runs (small_world, benchmarks), and of what
# the editor does in the browser alone, beside the gradio that .venv has too.
NOT_ON_OLDEST := $(addprefix tests/,live small_world test_hosts_table.py test_cost.py \
  test_tables.py test_tables_of_any_model.py \
  $(addprefix editor/test_editor_,devices.py drawing.py grid.py list.py loading.py store.py))

.PHONY: demo test test-oldest mutants python3.10 lint check-browser check-node clean

demo: .venv/.demo
	$(BIN)/python -m lib_instantas demo

test: .venv/.test check-browser check-node lint
	$(BIN)/python -m pytest

# The unit tests on what the WebUI 1.10.1 installs by itself: Python 3.10, torch 2.1.2 and its other requirements.
test-oldest: .venv-oldest/.test check-browser
	$(OLDEST)/python -m pytest $(addprefix --ignore=,$(NOT_ON_OLDEST))

# How many wrong versions of the core the tests notice; half an hour, and it goes on where it was stopped.
mutants: .venv/.mutants
	$(BIN)/python tests/mutants.py

python3.10:
	@$(FIND_PYTHON_310)

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check-browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  echo "The page's tests need Chromium; installing it."; \
	  as_root=$$([ $$(id -u) = 0 ] || echo sudo); \
	  $$as_root apt-get update -qq && $$as_root apt-get install -y -qq chromium >/dev/null; }

check-node:
	@command -v node >/dev/null || { \
	  echo "The tests of the editor's model need Node; installing it."; \
	  as_root=$$([ $$(id -u) = 0 ] || echo sudo); \
	  $$as_root apt-get update -qq && $$as_root apt-get install -y -qq nodejs >/dev/null; }

.venv/.torch:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(TORCH_INDEX) "$(TORCH)"
	touch $@

.venv/.demo: .venv/.torch pyproject.toml
	$(BIN)/pip install --quiet "$(TORCH)" --editable ".[standalone]"
	touch $@

.venv/.test: .venv/.torch pyproject.toml
	$(BIN)/pip install --quiet "$(TORCH)" --editable ".[standalone,test]"
	touch $@ .venv/.demo

.venv/.mutants: .venv/.test
	$(BIN)/pip install --quiet "$(TORCH)" --editable ".[standalone,test,mutants]"
	touch $@

.venv-oldest/.torch: tests/oldest.txt
	python=$$($(FIND_PYTHON_310)) && $$python -m venv .venv-oldest
	$(OLDEST)/pip install --quiet $(TORCH_INDEX) "$$(grep ^torch== $<)"
	touch $@

.venv-oldest/.test: .venv-oldest/.torch pyproject.toml
	$(OLDEST)/pip install --quiet --requirement tests/oldest.txt --editable .
	touch $@

clean:
	rm -rf .venv .venv-oldest .pytest_cache .mypy_cache .ruff_cache .hypothesis .mutants out
