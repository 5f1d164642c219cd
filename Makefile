# GPTWeb CRM Sync. `make help` lists what there is.
#
# Needs Python 3.11 to 3.13 and make. Everything else is installed into .venv, and everything that is written
# is written inside this folder.

VENV   := .venv
BIN    := $(VENV)/bin
LOCAL  := .local
READY  := $(VENV)/.ready
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,\
            $(shell $(p) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14); print("$(p)")' 2>/dev/null)))

# Caches stay in the checkout; the caller's Python settings stay out of it.
export UV_CACHE_DIR := $(CURDIR)/$(LOCAL)/cache/uv
export PIP_CACHE_DIR := $(CURDIR)/$(LOCAL)/cache/pip
export RUFF_CACHE_DIR := $(CURDIR)/$(LOCAL)/cache/ruff
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/$(LOCAL)/cache/hypothesis
export PYTHONPATH := $(CURDIR)/include:$(CURDIR)/plugins
unexport PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV

# What a person may set on the command line or in the environment:
#   POSTGRES_PORT AIRFLOW_PORT SALESFORCE_PORT           ports; free ones are found otherwise
#   SALESFORCE_URL SALESFORCE_CLIENT_ID SALESFORCE_CLIENT_SECRET   your own org in place of the stand-in
export POSTGRES_PORT AIRFLOW_PORT SALESFORCE_PORT SALESFORCE_URL SALESFORCE_CLIENT_ID SALESFORCE_CLIENT_SECRET

.DEFAULT_GOAL := help
.PHONY: help venv browser lock demo up down status test soak check format bench clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(READY) ## The virtual environment with the locked dependencies

demo: $(READY) ## Example data, provisioning and sync in a real Airflow, then a report (ONCE=1: check and stop)
	@$(BIN)/python -m stack demo $(if $(ONCE),--once)

up: $(READY) ## The same stack in the background; addresses and passwords are then in .local/env
	@$(BIN)/python -m stack up

down: $(READY) ## Stop it
	@$(BIN)/python -m stack down

status: $(READY) ## What runs, and where
	@$(BIN)/python -m stack status

browser: ## What the tests of the pages need beside Python: axe-core; and it says what is missing
	@command -v chromium chromium-browser google-chrome >/dev/null || { echo "error: no Chromium: on Debian, apt install chromium" >&2; exit 1; }
	@command -v npm >/dev/null || { echo "error: no npm: on Debian, apt install npm" >&2; exit 1; }
	@mkdir -p $(LOCAL)/axe $(LOCAL)/cache/npm
	@cp tests/ui/package.json tests/ui/package-lock.json tests/ui/.npmrc $(LOCAL)/axe/
	@cd $(LOCAL)/axe && npm ci --silent --ignore-scripts --cache ../cache/npm

test: $(READY) ## All tests, in two processes (PROCESSES=0: in one; ARGS="-k word" for some)
	$(BIN)/python -m pytest -n $(or $(PROCESSES),2) $(ARGS)

soak: $(READY) ## Random fault schedules until something breaks (SCHEDULES=100000 SEED=7; also ARGS="--scene 7/4711")
	PYTHONPATH=$(PYTHONPATH):$(CURDIR) $(BIN)/python -m tests.crm_sync.soak \
	  --schedules $(or $(SCHEDULES),100000) $(if $(SEED),--seed $(SEED)) $(ARGS)

check: $(READY) ## Lint, format, types, who imports whom, the compose file
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	PYTHONPATH=$(PYTHONPATH):$(CURDIR) $(BIN)/lint-imports --cache-dir $(LOCAL)/cache/imports
	$(BIN)/python -m stack.compose_check

format: $(READY) ## Put the code into the agreed form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY) ## The measurements, each as a ratio in one run
	$(BIN)/python -m bench $(ARGS)

lock: $(READY) ## Lock the dependencies of pyproject.toml anew (UPGRADE=1: to the newest versions)
	$(BIN)/uv pip compile $(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile $(LOCK) $(if $(UPGRADE),--upgrade) -c requirements.txt --extra dev pyproject.toml \
	  -o requirements-dev.txt
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-header

clean: ## Stop the stack; remove the virtual environment, all data and all caches
	@if [ -x $(BIN)/python ] && [ -d $(LOCAL) ]; then $(BIN)/python -m stack down || true; fi
	rm -rf $(VENV) $(LOCAL)

# uv comes first, by pip and with its hash checked; it then installs the rest, hashes checked too, ten times faster.
$(READY): requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11, 3.12 or 3.13 found: install one, or say make PYTHON=/path/to/it" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) cannot make virtual environments: on Debian, apt install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "Making the virtual environment …"; $(PYTHON) -m venv $(VENV); }
	@mkdir -p $(LOCAL)/cache
	@awk '/^uv==/ {on = 1} on {print} on && !/\\$$/ {exit}' requirements-dev.txt > $(LOCAL)/cache/uv.txt
	@echo "Installing the locked dependencies …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCAL)/cache/uv.txt 2>$(LOCAL)/cache/pip.log \
	  || { cat $(LOCAL)/cache/pip.log >&2; exit 1; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements-dev.txt \
	  || { echo "uv could not install them; pip tries …"; \
	       $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt; }
	@touch $@
