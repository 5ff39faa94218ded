# Two commands do everything on a fresh Debian-like machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What `make demo` needs, and all that the other targets do.
DEMO := $(VENV)/.installed-demo
STAMP := $(VENV)/.installed
PINS := src/carferry/runtime/requirements.txt

.PHONY: help bench demo docs test test-cluster soak check compile format recording tools rig registries cluster clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(DEMO): pyproject.toml constraints.txt
	@$(PYTHON) .ci/install.py $(VENV) '.[embedded]' --constraint constraints.txt
	@touch $@

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) .ci/install.py $(VENV) '.[dev,embedded,s3]' --constraint constraints.txt
	@touch $(DEMO) $@

demo: $(DEMO) ## package a real model through the pipeline run locally: no cluster, no token, no registry
	@$(BIN)/python -m demo

# A file's tests stay together: they share servers.
JOBS ?= 2
test: $(STAMP) tools rig registries ## run the tests against real parts
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile

test-cluster: $(STAMP) tools cluster ## run the tests on a real Kubernetes node with KServe: needs root, builds it once
	$(BIN)/python -m pytest tests/cluster

check: $(STAMP) ## lint, types, import contracts, generated files, limits of the backends
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p carferry
	$(BIN)/mypy demo
	PYTHONPATH=tests $(BIN)/lint-imports --no-cache
	$(BIN)/python pipelines/modelcar.py --compile --output build/compiled
	diff -r compiled build/compiled
	$(BIN)/carferry lint compiled/modelcar*.yaml --target all --workers 32
	$(BIN)/python -m carferry.pipelines.reference --check
	$(MAKE) docs
	grep -v '^kfp==' $(PINS) | diff constraints-core.txt -

# The notice that Material prints at each build stands in docs/adr/0053, and a test compares the two.
docs: $(STAMP) ## write the documentation site: open build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

compile: $(STAMP) ## write compiled/*.yaml, the generated reference and constraints-core.txt anew
	$(BIN)/python pipelines/modelcar.py --compile
	$(BIN)/python -m carferry.pipelines.reference
	grep -v '^kfp==' $(PINS) > constraints-core.txt

ROUNDS ?= 3
SCALE ?= 1
# Small files take next to no room; everything else must be told where there is some.
DATA ?= $(if $(filter small,$(ONLY)),build/bench)
bench: $(STAMP) ## measure against every other way: make bench DATA=folder [ONLY=shards,plan]
	@test -n "$(DATA)" || { echo "name a folder with 40 GiB free: make bench DATA=folder" >&2; exit 2; }
	PYTHONPATH=.:tests $(BIN)/python -m benchmarks --data "$(DATA)" --only "$(ONLY)" --rounds $(ROUNDS) --scale $(SCALE)

soak: $(STAMP) registries ## thousands of runs through broken networks and lying servers: make soak SEEDS=5000; one again: SEED=123
	PYTHONPATH=tests $(BIN)/python -m faults.soak $(or $(SEEDS),2000) $(if $(SEED),--seed $(SEED))

recording: $(STAMP) ## record docs/images/build.cast and build.svg anew: a real build with its bars
	PYTHONPATH=.:tests $(BIN)/python -m recording

tools: ## say which real parts the tests want and this machine lacks
	@sh .ci/tools --missing

rig: ## make the environment of the backend tests' servers (.rig), if a Python for it is here
	@sh .ci/rig

registries: ## build the registries that Debian has not (.registries), if a Go for it is here
	@sh .ci/registries

cluster: ## build the programs of a Kubernetes node (into the user's cache folder), if a Go for it is here
	@sh .ci/cluster

format: $(STAMP) ## rewrite the sources as the linter wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what the other targets made
	rm -rf $(VENV) .demo .rig .registries build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
