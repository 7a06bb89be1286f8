# Ferrometer: every target works from a fresh clone; what is already up to date is not done again.
# Needs Python >= 3.11, Rust (cargo) and make; everything else is fetched into .venv, target and .cache.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# rustup's folder is often missing from a non-login shell's PATH.
export PATH := $(PATH):$(HOME)/.cargo/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The first Python that is new enough; override with `make PYTHON=/path/to/python`.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)

# How the extension is built: `fast` compiles in seconds after a change, `release` is what users get.
PROFILE ?= release

VENV ?= .venv
DIST := $(if $(filter .venv,$(VENV)),dist,$(VENV)/dist)
WHEEL := $(VENV)/.wheel-$(PROFILE)
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet
PINS := requirements-dev.txt
SOURCES := $(shell find rust python \( -type f -o -type l \) \( -name '*.rs' -o -name '*.py' -o -name '*.pyi' -o -name 'py.typed' -o -name 'Cargo.toml' -o -path '*/live/web/*' \)) \
  Cargo.toml Cargo.lock pyproject.toml README.md LICENSE

# One interpreter for every build of the bindings, so that cargo never rebuilds PyO3 for a new path.
export PYO3_PYTHON := $(abspath $(PY))

.PHONY: help build matrix demo screenshots test bench lint model fuzz torture sanitize docs clean compat gpu real-compose real-jaeger real-otelcol real-prometheus3 real-victorialogs wheels versions needs-rust needs-rust-checkers components

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: $(WHEEL)  ## the wheel, built and installed into .venv (PROFILE=fast: in seconds, for development)

demo: $(VENV)/.demo  ## build, install, drive traffic at a small gateway, show the table (ONCE=1: then stop; PORT=8000)
	@$(PY) -m ferrometer demo $(if $(ONCE),--once) $(if $(PORT),--port $(PORT))

screenshots: $(VENV)/.dev $(VENV)/.demo components  ## pictures of the live page under the demo's traffic, for the README
	$(PY) tools/screenshots

test: needs-rust $(VENV)/.dev $(VENV)/.demo components  ## cargo test, then pytest (REQUIRE_REAL=1: a missing component fails; ARGS=...)
	cargo test --locked --workspace --exclude ferrometer-python
	$(PY) -m pytest $(ARGS)

real-prometheus3: needs-rust  ## builds a real Prometheus 3 once (minutes), and compares thousands of PromQL answers with its (PROMQL_CASES=2000)
	tools/prometheus3
	REQUIRE_PROMETHEUS3=1 PROMQL_CASES=$(or $(PROMQL_CASES),2000) cargo test --locked --package ferrometer-promql --test differential -- --nocapture

bench: $(VENV)/.dev $(VENV)/.bench $(VENV)/.demo  ## the comparison against the floor and the peers (QUICK=1: a short run)
	$(PY) -m benches $(if $(QUICK),--quick)

lint: needs-rust-checkers $(VENV)/.dev $(VENV)/.demo  ## rustfmt, clippy, rustdoc, ruff, mypy --strict, stubtest, the workflows' schema
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --quiet
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m mypy.stubtest --mypy-config-file pyproject.toml ferrometer._core
	$(PY) -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(PY) -m check_jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

wheels:  ## dist/wheels: cp311, cp312 and cp313 for manylinux2014, each installed and tried; needs zig, which it fetches
	tools/wheels build
	tools/wheels smoke

versions: needs-rust  ## the tests of metrics, middleware, forks and exits on the other Python versions that are here
	tools/versions

model: needs-rust  ## the lock-free parts, and a reader in another process, in every interleaving, under loom
	RUSTFLAGS='--cfg loom' cargo test --locked --package ferrometer-core --package ferrometer-ring --release --lib --target-dir target/loom model

fuzz: needs-rust  ## broken segment files, read as scrapes do (RUNS=1000000 SEED=1); then libFuzzer where it is (SECONDS=60)
	cargo build --locked --release --package ferrometer-fuzz --bin drive --bin queries --bin histories
	target/release/drive $(or $(RUNS),1000000) $(or $(SEED),1)
	target/release/queries $(or $(RUNS),200000) $(or $(SEED),1)
	target/release/histories $(or $(RUNS),200000) $(or $(SEED),1)
	@tools/libfuzzer $(or $(SECONDS),60)

torture: needs-rust $(VENV)/.dev $(VENV)/.demo  ## workers killed at every step and at random, thousands of times (TIMES=10 KILLS=1000)
	FERROMETER_KILLS=$(or $(KILLS),1000) cargo test --locked --package ferrometer-ring --test killed -- --nocapture
	FERROMETER_TORTURE=$(or $(TIMES),10) cargo test --locked --package ferrometer-core --test torture -- --nocapture
	FERROMETER_TORTURE=$(or $(TIMES),10) $(PY) -m pytest -s tests/workers/test_torture.py
	FERROMETER_CHAOS=$(or $(KILLS),1000) $(PY) -m pytest -s tests/logs/test_chaos.py
	FERROMETER_FORKED_JOBS=10000 $(PY) -m pytest -s tests/jobs/test_job_workers.py

compat: $(VENV)/.dev $(VENV)/.demo  ## other programs' own tests with prometheus_client and under `ferrometer run` (PROGRAMS="flower ..."; minutes)
	$(PY) tools/compat.py $(PROGRAMS)

gpu: $(VENV)/.dev $(VENV)/.demo  ## every GPU family beside nvidia-smi, at rest and under a load; a transcript into docs/gpu.md (a minute)
	$(PY) tools/gpu.py
	$(PY) -m pytest -q tests/collectors/test_gpu.py -k real_gpu

real-jaeger:  ## Jaeger from its Go module into .cache, for the tests of traces; some minutes, once
	@tools/jaeger

matrix: $(VENV)/.dev $(VENV)/.demo  ## environments for other versions of Starlette and FastAPI and for task queues, and the tests that need them
	MATRIX=1 $(PY) -m pytest tests/middleware/test_matrix.py tests/jobs/test_queues.py $(ARGS)

real-compose:  ## Docker Compose from its Go module into .cache, to check the generated compose.yml; some minutes, once
	@tools/compose

real-otelcol:  ## an OpenTelemetry Collector from its Go modules into .cache, for the test of the generated one; some minutes, once
	@tools/otelcol

real-victorialogs:  ## VictoriaLogs from its Go module into .cache, for the tests of log shipping; some minutes, once
	@tools/victoria-logs

real-gitleaks:  ## gitleaks' examples of secrets into .cache, for the test of redaction's rates; some minutes, once
	@tools/gitleaks-corpus

sanitize: needs-rust  ## Miri, the address and thread sanitizers, valgrind: those that are here, and it says which
	@tools/sanitize

docs: needs-rust $(VENV)/.dev $(VENV)/.demo $(VENV)/docs/.installed  ## the site (target/site, links checked), the Rust API (target/doc), every snippet executed
	$(VENV)/docs/bin/mkdocs build --quiet --strict
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --quiet
	$(PY) -m pytest tests/test_docs.py
	@echo "target/site/index.html"

$(VENV)/docs/.installed: docs/requirements.txt $(VENV)/.created
	"$(PYTHON)" -m venv $(VENV)/docs
	$(VENV)/docs/bin/python -m pip install --quiet --requirement docs/requirements.txt
	@touch $@

clean:  ## forget everything that was built or fetched
	rm -rf $(VENV) .matrix .cache target dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find python tests benches -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what the targets stand on -----------------------------------------------------------------------------

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "make: needs Python 3.11 or newer; none found: install one, or pass PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: PYTHON=$(PYTHON) is missing or older than 3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "make: $(PYTHON) has no venv module; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	@touch $@

needs-rust:
	@command -v cargo >/dev/null || { echo "make: needs Rust (cargo) 1.88 or newer: https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "make: needs a C linker (cc); on Debian and Ubuntu: apt install gcc libc6-dev" >&2; exit 1; }

needs-rust-checkers: needs-rust
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || \
	  { echo "make lint: needs rustfmt and clippy: rustup component add rustfmt clippy" >&2; exit 1; }

# The wheel users get is what every target tests: built once per change of the sources.
$(WHEEL): $(SOURCES) | needs-rust $(VENV)/.created
	$(PIP) --constraint $(PINS) maturin
	rm -rf $(DIST)
	$(PY) -m maturin build --profile $(PROFILE) --locked --interpreter $(PY) --out $(DIST) --quiet
	$(PIP) --force-reinstall --no-deps $(DIST)/*.whl
	@rm -f $(VENV)/.wheel-*
	@touch $@

$(VENV)/.demo: $(WHEEL) $(PINS)
	$(PIP) --constraint $(PINS) "$$(echo $(DIST)/*.whl)[demo]"
	@touch $@

$(VENV)/.dev: $(VENV)/.created $(PINS)
	$(PIP) --requirement $(PINS)
	@touch $@

# The peers that the benchmark measures itself against; nothing else needs them.
$(VENV)/.bench: $(VENV)/.created benches/requirements.txt benches/requirements-alone.txt
	$(PIP) --requirement benches/requirements.txt
	$(PIP) --no-deps --requirement benches/requirements-alone.txt
	@touch $@

# Real Prometheus & co. for the tests: what is missing is unpacked from the distribution into .cache.
components: $(VENV)/.dev
	@$(PY) -m tests.real.fetch
