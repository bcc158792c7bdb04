# Puna: `make ask` answers a question, `make test` runs the tests; each sets up all that it needs, once.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help ask test lint bench crash fuzz notebook notebooks FORCE

# Any Python from 3.11 on: make ask PYTHON=/path/to/python3
PYTHON ?=
# An index that has torch without CUDA, for Linux: make ask TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# More arguments for pytest, puna bench, JupyterLab or the fuzzer: make test ARGS="tests/rank -x", make fuzz ARGS="--seed 2", make crash ARGS=7
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip --disable-pip-version-check install $(if $(MAKE_TERMOUT),,-qq) \
	-c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
SETTINGS := pyproject.toml constraints.txt hatch_build.py $(wildcard src/puna/native/*.[ch])

help:
	@echo 'make ask    install Puna into $(VENV), fetch the default model (98 MB) and answer a question'
	@echo 'make test   install the development tools as well and run the tests'
	@echo 'make lint   ruff, mypy and the import contract'
	@echo 'make fuzz   open 200,000 broken files of every kind; goes on where it was stopped'
	@echo 'make crash  kill indexing a hundred times, at random moments; nothing may be lost'
	@echo 'make bench  install other programs into environments of their own and compare speed; writes build/bench'
	@echo 'make notebook   install JupyterLab as well and open the notebooks'
	@echo 'make notebooks  execute them all anew, in place'
	@echo
	@echo 'Settings: PYTHON=python3.12  another Python (3.11 or newer)'
	@echo '          TORCH_INDEX=https://download.pytorch.org/whl/cpu'
	@echo '                             torch without CUDA: gigabytes less to fetch on Linux'
	@echo '          PUNA_CACHE=FOLDER  where the model is kept, instead of the user cache'

ask: $(VENV)/core.stamp
	@$(BIN)/puna pull > /dev/null
	@$(BIN)/puna ask "世界上最高的山峰是什么？" --text "珠穆朗玛峰是世界上最高的山峰，海拔8848米。" \
		--candidate 珠穆朗玛峰 --candidate 珠峰 --candidate 喜马拉雅山脉 --candidate 世界第一高峰

test: $(VENV)/dev.stamp
	@$(BIN)/puna pull > /dev/null || echo 'without the default model, the tests that need it are skipped'
	@$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: $(VENV)/dev.stamp
	@$(BIN)/python -m tests.fuzz $(ARGS)

crash: $(VENV)/dev.stamp
	@$(BIN)/python -m tests.library.crash 100 $(ARGS)

bench: $(VENV)/plot.stamp
	@$(BIN)/puna pull > /dev/null
	@$(if $(TORCH_INDEX),PIP_EXTRA_INDEX_URL=$(TORCH_INDEX)) $(BIN)/puna bench -o build/bench $(ARGS)

notebook: $(VENV)/notebook.stamp
	@$(BIN)/puna pull > /dev/null
	@$(BIN)/python -m jupyterlab notebooks $(ARGS)

notebooks: $(VENV)/notebook.stamp
	@$(BIN)/puna pull > /dev/null
	@$(BIN)/python notebooks/run_notebooks.py $(ARGS)

# A stamp is written after everything before it has worked, so an interrupted step is done again.
$(VENV)/core.stamp: $(SETTINGS) $(VENV)/made.stamp
	@echo 'installing Puna and torch into $(VENV), once; this takes minutes'
	@$(INSTALL) -e .
	@touch $@

$(VENV)/plot.stamp: $(SETTINGS) $(VENV)/made.stamp
	@echo 'installing Puna, torch and Matplotlib into $(VENV), once; this takes minutes'
	@$(INSTALL) -e '.[plot]'
	@touch $(VENV)/core.stamp $@

$(VENV)/notebook.stamp: $(SETTINGS) $(VENV)/made.stamp
	@echo 'installing Puna, torch and JupyterLab into $(VENV), once; this takes minutes'
	@$(INSTALL) -e '.[notebook]'
	@touch $(VENV)/core.stamp $(VENV)/plot.stamp $@

$(VENV)/dev.stamp: $(SETTINGS) $(VENV)/made.stamp
	@echo 'installing Puna, torch and the development tools into $(VENV), once; this takes minutes'
	@$(INSTALL) -e '.[dev]'
	@touch $(VENV)/core.stamp $(VENV)/plot.stamp $@

# A virtual environment holds absolute paths: where the folder or the Python was moved, it is made anew.
$(VENV)/made.stamp: $(if $(filter $(CURDIR),$(shell $(BIN)/python -V >/dev/null 2>&1 && cat $(VENV)/made.stamp)),,FORCE)
	@set -e; for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python); do \
		found="$$(command -v "$$python")" || continue; \
		"$$found" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		echo "making $(VENV) with $$found"; \
		"$$found" -m venv --clear $(VENV) || { \
			echo 'error: this Python cannot make virtual environments' >&2; \
			echo 'hint: on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }; \
		echo '$(CURDIR)' > $@; exit 0; \
	done; \
	echo 'error: $(if $(PYTHON),$(PYTHON) is not,there is no) Python 3.11 or newer' >&2; \
	echo 'hint: install one, or say where it is: make $(or $(firstword $(MAKECMDGOALS)),ask) PYTHON=/path/to/python3' >&2; \
	exit 1
