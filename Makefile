# Every target sets up what it needs: a virtual environment in .venv with pinned dependencies.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
CLIENTS := $(patsubst tests/clients/%/requirements.txt,%,$(wildcard tests/clients/*/requirements.txt))
CLIENTS_READY := $(CLIENTS:%=.venv-clients/%/ready)

.DEFAULT_GOAL := help
.PHONY: help demo test test-clients lint bench format clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

define need_python
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11"; exit 1; }
endef

$(READY): pyproject.toml constraints.txt
	$(need_python)
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY) ## Show a chat, a stream, a function call, embeddings: real OAuth and TLS against the local server
	@$(BIN)/python examples/demo.py

test: $(READY) ## Run every test that needs Python packages only
	@$(BIN)/python -m pytest

# A published package stands on our client in an environment of its own; what declares an older client comes alone.
.venv-clients/%/ready: tests/clients/%/requirements.txt tests/clients/%/constraints.txt pyproject.toml
	$(need_python)
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --constraint tests/clients/$*/constraints.txt \
		--editable '.[server]' --requirement $<
	@[ ! -e tests/clients/$*/alone.txt ] || \
		$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement tests/clients/$*/alone.txt
	@touch $@

test-clients: ## Run published packages, unchanged, on this client: LangChain, Pydantic AI, LlamaIndex, gpt2giga
	@$(MAKE) --no-print-directory --jobs 2 $(CLIENTS_READY)
	@failed=; for name in $(CLIENTS); do \
		echo "--- $$name"; \
		.venv-clients/$$name/bin/python -m pytest -c tests/clients/pytest.ini tests/clients/$$name || failed=1; \
	done; [ -z "$$failed" ]

lint: $(READY) ## Check style, types (mypy, pyright) and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright --warnings
	$(BIN)/lint-imports

bench: $(READY) ## Compare with the bare HTTP library and with the published 0.2.3
	@$(BIN)/python -m benchmarks

format: $(READY) ## Bring the code into the project's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove the environment and what tools left behind
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
