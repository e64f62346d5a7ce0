# Two commands do all the set-up on a fresh machine: `make demo` makes pictures, `make test` passes the tests.
# Both work in .venv and leave the system's Python alone. Python 3.10 to 3.12: `make test PYTHON=python3.10`.

PYTHON ?= python3
TORCH ?= torch==2.13.0
BIN := .venv/bin
SHELL := /bin/bash
# Without an NVIDIA driver the CUDA build of torch is several GB for nothing: prefer the CPU build where there is one.
# Torch alone is looked up there, once: where that index cannot be reached, pip goes on with the others.
TORCH_INDEX := $(shell command -v nvidia-smi >/dev/null 2>&1 || \
  echo --no-deps --retries 0 --timeout 20 --extra-index-url https://download.pytorch.org/whl/cpu)

.PHONY: demo test lint check-browser clean

demo: .venv/.demo
	$(BIN)/python -m lib_instantas demo

test: .venv/.test check-browser lint
	$(BIN)/python -m pytest

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check-browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  echo "The page's tests need Chromium; installing it."; \
	  as_root=$$([ $$(id -u) = 0 ] || echo sudo); \
	  $$as_root apt-get update -qq && $$as_root apt-get install -y -qq chromium >/dev/null; }

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

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis out
