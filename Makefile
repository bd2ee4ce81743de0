# The two commands to know: `make demo` shows it, `make test` proves it. Both install and start all they need.
UV ?= $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN = $(UV) run --locked --quiet
# The image's Python. Not by a file .python-version: pyenv's python3 would not start where pyenv has another version.
export UV_PYTHON ?= 3.11

.PHONY: help install check test unit faults matrix kyverno demo try cluster versions bench headline plugin format docs site clean
.DEFAULT_GOAL := help

help:  ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.uv/bin/uv:
	@echo "uv is not installed; putting it into .uv/" >&2
	@python3 -m venv .uv && .uv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9'

install: $(if $(findstring .uv/,$(UV)),.uv/bin/uv)  ## Install the locked dependencies into .venv
	@$(UV) sync --locked --quiet

check: install  ## Check style, types, layers, names, and the Dockerfile
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) lint-imports --no-cache
	$(RUN) python -m tests.names
	$(RUN) hadolint Dockerfile

# The stack's own tests install and build what is missing; then everything else runs in lanes, each with its own servers.
test: check  ## Test everything on the real servers: unit, contract, end to end, the page, and a choice of faults
	$(RUN) pytest tests/stack
	$(RUN) python -m tests.lanes

unit: install  ## Test what needs no server, in seconds
	$(RUN) pytest tests/unit tests/flows tests/demo tests/headline tests/bench

faults: install  ## Break everything in every way, on the real servers: over an hour, tables at the end
	FAULTS=all $(RUN) pytest tests/faults tests/flows/test_model.py $(wildcard tests/unit/test_fuzz_*.py) $(FAULTS_ARGS)

matrix: install  ## Try every way to register with every way to end, on the real servers: ten minutes; makes docs/matrix.md
	FAULTS=all MATRIX_TABLE=docs/matrix.md $(RUN) pytest tests/e2e/test_matrix.py

kyverno: install  ## Try the window and the quick caches with Kyverno's engine, on a real API server: five minutes to build it
	KYVERNO=1 $(RUN) pytest tests/manifests/test_drain_window.py tests/manifests/test_eureka_clients.py

demo: install  ## Show a rolling restart on real servers, live (KEEP=1 leaves it running)
	@$(RUN) python -m tests.demo

try:  ## Drain three pods in a cluster of your own, kind or minikube say: ten minutes (CONTEXT=name, REMOVE=1)
	@CONTEXT="$(CONTEXT)" REMOVE="$(REMOVE)" manifests/trial/try.sh

cluster: install  ## Try it in a real cluster of two nodes, made here from package registries (KEEP=1 leaves it up)
	@$(RUN) python -m tests.cluster

versions: install  ## Try it with other versions of Kubernetes and Spring Cloud: an hour; makes docs/versions.md
	$(RUN) python -m tests.versions $(VERSIONS)

bench: install  ## Measure from deletion to OUT_OF_SERVICE, side by side with the floor
	@$(RUN) python -m tests.bench $(BENCH)

headline: install  ## Count requests lost in rolling restarts, four ways side by side: about 18 minutes
	@$(RUN) python -m tests.headline $(HEADLINE)

plugin: install  ## Make kubectl-drains, one file that needs Python 3.11 or newer and kubectl: dist/kubectl-drains
	rm -rf dist/plugin && mkdir -p dist/plugin/controller
	cp -r controller/__init__.py controller/terminal.py controller/domain controller/plugin dist/plugin/controller/
	find dist/plugin -name __pycache__ -prune -exec rm -rf {} +
	cp controller/plugin/__main__.py dist/plugin/
	$(RUN) python -m zipapp dist/plugin --python '/usr/bin/env python3' --compress --output dist/kubectl-drains
	chmod 755 dist/kubectl-drains && rm -rf dist/plugin

format: install
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

site: install  ## Make the pages as a site, strict about links: dist/site
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build

docs: install  ## Make the pages that are made from the code
	$(RUN) python -m tests.metrics_page >docs/metrics.md
	$(RUN) python -m controller.settings.reference >docs/configuration.md
	$(RUN) python -m controller.settings.yaml_file >config/controller.yaml
	$(RUN) python -m tests.manifests.kyverno_policies

clean:
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
