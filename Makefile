# Sets up and calls the command line; .venv/bin/shipworthy is the real interface.

PYTHON ?= python3
MODEL ?= cnn
# The model's folder; out/<name> where it is not given.
OUT ?=
JOBS ?= $(shell nproc)
# Extra flags for pip, such as the index of PyTorch's CPU builds (see requirements.lock).
PIP_FLAGS ?=
# Extra flags for the subcommand, such as ARGS="--format onnx --json".
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ROOMS := models convert serve report cli

.DEFAULT_GOAL := help
.PHONY: help setup export bench report claims test test-fast test-matrix test-corpus test-slow lint lock clean

help:  ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  MODEL=cnn  OUT=out/cnn  ARGS=\"...\"  as in: make export MODEL=mlp ARGS=\"--format onnx\""

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else \
	  f"shipworthy needs Python 3.11 to 3.13; {sys.executable} is {v[0]}.{v[1]}. Try: make setup PYTHON=python3.11")'
	@echo "installing into $(VENV) (some gigabytes, once)" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_FLAGS) -r requirements.lock >&2
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e . >&2
	@touch $@

setup: $(INSTALLED)  ## Make .venv from the lock file and build the runners
	@$(BIN)/python -m shipworthy.serve.runners

export: setup  ## Train if needed, export, validate, benchmark and report MODEL
	@$(BIN)/shipworthy export "$(MODEL)" $(if $(OUT),--out "$(OUT)") $(ARGS)

bench: setup  ## Measure the artifacts in OUT again
	@$(BIN)/shipworthy bench "$(or $(OUT),out/$(MODEL))" $(ARGS)

report: setup  ## Write the reports in OUT again
	@$(BIN)/shipworthy report "$(or $(OUT),out/$(MODEL))" $(ARGS)

claims: setup  ## Test what people say of PyTorch and TensorFlow, into out/claims
	@$(BIN)/shipworthy claims $(if $(OUT),--out "$(OUT)") $(ARGS)

test: setup test-fast test-matrix test-corpus test-slow  ## Run every test

# The bridge has matrix tests alone, and collecting its cases takes seconds.
test-fast: $(INSTALLED)  ## The tier that needs no framework
	@$(BIN)/python -m pytest -m "not matrix and not slow and not corpus" -n $(JOBS) --ignore-glob="*/test_bridge_*" $(ARGS)

test-matrix: setup  ## All conversions, in parallel
	@$(BIN)/python -m pytest -m "matrix and not slow" -n $(JOBS) --dist loadfile $(ARGS)

test-corpus: setup  ## Models of many kinds, brought as a user brings them
	@$(BIN)/python -m pytest tests/corpus -m corpus -n $(JOBS) $(ARGS)

test-slow: setup  ## What takes minutes
	@$(BIN)/python -m pytest -m slow $(ARGS)

lint: $(INSTALLED)  ## Style and types
	@mkdir -p build/types/shipworthy
	@for room in $(ROOMS); do ln -sfn ../../../$$room build/types/shipworthy/$$room; done
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(addprefix build/types/shipworthy/,$(ROOMS))

lock: ## Resolve requirements.lock again from pyproject.toml
	@rm -rf build/lock && $(PYTHON) -m venv build/lock
	@build/lock/bin/pip install --quiet $(PIP_FLAGS) torch==2.13.0 "setuptools>=80" "wheel" ".[dev,tensorboard]"
	@{ sed -n '/^#/p' requirements.lock; build/lock/bin/pip freeze --all \
	  | sed -E -e '/^(pip|shipworthy)( |=)/d' -e 's/^(torch==[^+]*)\+.*/\1/' \
	    -e 's/^tensorflow.cpu(==.*)/tensorflow-cpu\1; sys_platform == "linux" and platform_machine == "x86_64"\ntensorflow\1; sys_platform != "linux" or platform_machine != "x86_64"/'; \
	  } > build/requirements.lock && mv build/requirements.lock requirements.lock

clean:  ## Remove builds and caches; .venv and out stay
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
