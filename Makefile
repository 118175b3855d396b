# Each target sets itself up in .venv with nothing but python3 and pip on the machine.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

.PHONY: demo test lint bench clean

demo: $(RUN)/gpuenv
	$(RUN)/gpuenv create -p .demo/env --force numba py-xgboost
	$(RUN)/gpuenv run -p .demo/env python examples/demo.py

test: $(VENV)/.dev
	$(RUN)/python -m pytest

lint: $(VENV)/.dev
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

bench: $(VENV)/.dev
	$(RUN)/python benchmarks/startup.py
	$(RUN)/python benchmarks/planning.py
	$(RUN)/python benchmarks/channels.py

clean:
	rm -rf $(VENV) .demo build dist

$(RUN)/python:
	$(PYTHON) -m venv $(VENV)

$(RUN)/gpuenv: $(RUN)/python pyproject.toml
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.dev: $(RUN)/python pyproject.toml
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
