# `make` shows what there is. Needed: python3 (3.11 or newer, with venv) and make; all else is put into .venv from PyPI.

PYTHON  ?= python3
BACKEND ?= all
DIR     ?= .
HOST    ?= 127.0.0.1
PORT    ?= 8080
ARGS    ?=
SEEDS   ?= 0-999
SECONDS ?= 20
RUNS    ?= 0
# Half of the tests' time is waiting: two workers for each processor.
WORKERS ?= $(shell echo $$((2 * $$(nproc 2>/dev/null || echo 2))))

# Tests start some hundred children; none should compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

VENV  := .venv
BIN   := $(VENV)/bin
PIP   := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip
STAMP := $(VENV)/.anywire-setup
PARTS := $(patsubst %/pyproject.toml,%,$(wildcard */pyproject.toml packages/*/pyproject.toml))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help lines setup demo serve test test-all check conformance goldens bench wrk probe fuzz sim sweep lint types contracts unit format blocking docs api clean distclean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "make demo BACKEND=asyncio                  one runtime instead of all installed"
	@echo "make serve DIR=. PORT=8080 HOST=127.0.0.1 BACKEND=asyncio"
	@echo "make fuzz SECONDS=600 ARGS='--targets server client'"
	@echo "make sim SEEDS=0-99999                     as many worlds as you like; SEEDS=3347 runs one"
	@echo "make bench ONLY=server,client QUICK=1      some groups, or everything in under three minutes"
	@echo "make unit ARGS='core/tests -k parser -x'   arguments for pytest"
	@echo "make PYTHON=python3.13 …                   another interpreter for a new .venv"

# ---- set-up ----------------------------------------------------------------------------------------------------------

# An environment that was copied or moved together with its checkout still points at the old place (scripts and editable
# installs hold absolute paths), so the stamp says where it belongs and is out of date anywhere else.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

setup: $(STAMP) ## Make .venv (done by every command that needs it, skipped when up to date)
	@echo "$(VENV) is ready: $$($(BIN)/python --version)"

$(STAMP): requirements-dev.txt VERSION $(PARTS:%=%/pyproject.toml) $(PARTS:%=%/hatch_build.py)
	@command -v "$(PYTHON)" >/dev/null || { echo "anywire: '$(PYTHON)' not found; install Python 3.11 or newer, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "anywire: $$($(PYTHON) --version 2>&1) is too old; say make PYTHON=/path/to/python3.11 (or newer)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "anywire: '$(PYTHON)' has no venv module; install it (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@echo "setting up $(VENV) (about half a minute, once)"
	@test "$$(cat $(STAMP) 2>/dev/null)" = "$(CURDIR)" || "$(PYTHON)" -m venv --clear $(VENV)
	@rm -f $(STAMP)
	@$(PIP) install -qq --no-compile -r requirements-dev.txt
	@$(PIP) install -qq --no-build-isolation $(PARTS:%=-e ./%)
	@$(PIP) check >/dev/null || { $(PIP) check; exit 1; }
	@echo "$(CURDIR)" > $(STAMP)

# ---- use -------------------------------------------------------------------------------------------------------------

demo: $(STAMP) ## The main job: mirror, verify and upload a real tree, stream 1 GiB both ways
	@$(BIN)/anywire demo --backend $(BACKEND)

serve: BACKEND := $(if $(filter all,$(BACKEND)),asyncio,$(BACKEND))
serve: $(STAMP) ## A static file server in the foreground
	@exec $(BIN)/anywire serve "$(DIR)" --host $(HOST) --port $(PORT) --backend $(BACKEND)

# ---- proof -----------------------------------------------------------------------------------------------------------

test: check unit ## Lint, types, import contracts and all tests

test-all: check ## The same with those that take long: real peers, memory, closing under load on every backend
	$(BIN)/pytest -n $(WORKERS) --dist loadscope -m "long or not long" $(ARGS)

check: lint types contracts ## All of `make test` that runs no test

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy, strict, tests included
	$(BIN)/mypy
	@set -e; for part in $(filter backend-%,$(PARTS)); do \
		files=$$(find $$part/tests -name '*.py' 2>/dev/null); \
		[ -z "$$files" ] || { echo "$(BIN)/mypy $$part/tests"; $(BIN)/mypy $$files; }; \
	done

contracts: $(STAMP) ## import-linter: the layers, and no I/O or clock under core/
	$(BIN)/lint-imports --no-logo

lines: $(STAMP) ## Lines of code of each backend, facade and core module, and how many it may have
	@$(BIN)/python core/tests/sizes.py

unit: $(STAMP) ## pytest (ARGS=… for its arguments)
	$(BIN)/pytest -n $(WORKERS) --dist loadscope $(ARGS)

conformance: $(STAMP) ## Every statement on every backend, and docs/{conformance,parity,promises}.md (BACKEND=asyncio ARGS='--only AGT' for a part)
ifeq ($(BACKEND),all)
	$(BIN)/python -m anywire.conformance table
else
	$(BIN)/python -m anywire.conformance run --backend $(if $(findstring .,$(BACKEND)),,anywire.)$(BACKEND) $(ARGS)
endif

PEERS := .venv-peers/.installed
$(PEERS): benchmarks/peers.txt
	@echo "setting up .venv-peers, the servers and clients to compare with"
	@"$(PYTHON)" -m venv .venv-peers
	@PIP_DISABLE_PIP_VERSION_CHECK=1 .venv-peers/bin/python -m pip install -qq -r benchmarks/peers.txt
	@touch $@

sweep: $(STAMP) ## Cancel everything at every suspension, over TLS too, and tell how many there are (ARGS='-k trio' for a part)
	ANYWIRE_SWEEP=all $(BIN)/pytest -q -s conformance/tests/test_cancel_sweep.py $(ARGS)

real-peers: ## nginx, HAProxy and curl for the tests that need them (Debian, as root)
	@(for each in nginx haproxy curl; do command -v $$each >/dev/null || exit 1; done) || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx haproxy curl >/dev/null; }

wrk:
	@command -v wrk >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends wrk >/dev/null; } || \
		echo "make bench: wrk cannot be had, so no server is measured (Debian: apt-get install wrk, as root)" >&2

bench: $(STAMP) $(PEERS) wrk ## Speed and memory beside peers and bare sockets: benchmarks/results/ (ONLY=server QUICK=1; benchmarks/README.md)
	@PYTHONPATH=benchmarks $(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick) $(ARGS)

probe: $(STAMP) $(PEERS) ## Ask ours and every peer that is installed what the RFCs ask of a server: docs/probes.md (ARGS='--only nginx')
	$(BIN)/python benchmarks/probe_table.py $(ARGS)

sim: $(STAMP) ## Seeded worlds of clients, an Agent, servers and a faulty network (SEEDS=0-999; docs/sim.md)
	@$(BIN)/python -m anywire.conformance.sim --seeds $(SEEDS) --keep-going $(ARGS)

FUZZER := .venv-fuzz/.installed
$(FUZZER): core/fuzz/requirements.txt
	@echo "setting up .venv-fuzz (atheris)"
	@"$(PYTHON)" -m venv .venv-fuzz
	@PIP_DISABLE_PIP_VERSION_CHECK=1 .venv-fuzz/bin/python -m pip install -qq --only-binary :all: -r core/fuzz/requirements.txt || \
		echo "atheris cannot be had for this Python and platform: the corpus is mutated blindly instead" >&2
	@touch $@

fuzz: $(FUZZER) ## Fuzz parser, connections and exchanges (SECONDS=20 for each target, or RUNS=…; docs/fuzz.md)
	@PYTHONPATH=core/src:conformance/src .venv-fuzz/bin/python -m core.fuzz --seconds $(SECONDS) --runs $(RUNS) $(ARGS)

goldens: $(STAMP) ## Record the real Node 13.14.0 again (set up by npm in .node/) and show what changed (ARGS='--only SRV --check')
	$(BIN)/python -m anywire.conformance goldens $(ARGS)
	$(BIN)/python -m anywire.conformance deviations

format: $(STAMP) ## Let ruff rewrite the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

blocking: $(STAMP) ## Write the blocking colour of drivers and examples again, from the awaiting one
	$(BIN)/python tools/make_blocking.py

docs: $(STAMP) ## Draw what is drawn from the code: docs/states.md
	$(BIN)/python docs/make_state_diagrams.py

api: $(STAMP) ## Write down the public API again, after a change of it that is meant: docs/api.txt
	$(BIN)/python tools/make_api.py

# ---- clean-up --------------------------------------------------------------------------------------------------------

CACHES := __pycache__ .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
clean: ## Remove caches and build results
	find . \( -path ./$(VENV) -o -path ./.git \) -prune -o -type d \( -false $(CACHES:%=-o -name '%') \) -prune -exec rm -rf {} +
	rm -rf dist build $(PARTS:%=%/dist) $(PARTS:%=%/build)

distclean: clean ## And .venv, .venv-peers, .venv-fuzz and .node
	rm -rf $(VENV) .venv-peers .venv-fuzz .node
