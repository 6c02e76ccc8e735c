# The way in without Nix: Python 3.11 or newer and make. Everything is installed into .venv here.

PYTHON ?= python3
VENV := .venv/bin/python
STAMP := .venv/.installed
# Into .venv, whatever the shell or pip's configuration say of other installations.
export PIP_USER := 0
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_NO_DEPS PIP_DRY_RUN PIP_CONSTRAINT PIP_REQUIRE_HASHES PIP_REQUIRE_VIRTUALENV UV_SYSTEM_PYTHON UV_PYTHON VIRTUAL_ENV

# In `nix develop` everything is there already: nothing is installed, and no .venv is made.
ifdef FLEET_NIX_SHELL
VENV := python
STAMP :=
DEMO_OPTIONS := --no-install
endif

# A workspace that was moved or copied would run the old place's code: it is installed anew.
ifneq "$(shell cat /dev/null $(STAMP) 2>/dev/null)" "$(CURDIR)"
.PHONY: $(STAMP)
endif

# So is one of another version than the Python that was named.
VERSION := -c 'import sys; print(*sys.version_info[:2])' 2>/dev/null
ifneq "$(origin PYTHON)" "file"
WANTED := $(shell "$(PYTHON)" $(VERSION))
PRESENT := $(shell $(VENV) $(VERSION))
ifneq "$(WANTED)" "$(PRESENT)"
OUTDATED := yes
.PHONY: $(STAMP)
endif
endif

.PHONY: help install demo test test-all proofs faults ends lint types bench docs vendor lock install-with-uv install-with-pip

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s  %s\n", $$1, $$2 }' Makefile
	@echo 'Another Python: make PYTHON=python3.13 install'

install: $(STAMP) ## .venv with the project and all it needs
	@$(VENV) -m scaffold env

demo: $(STAMP) ## four services, generated and running, asked over HTTP
	@$(VENV) -m scaffold demo $(DEMO_OPTIONS)

test: $(STAMP) ## the tests, on a real PostgreSQL
	@$(VENV) -m pytest -n auto --maxprocesses 4 -m 'not slow'

test-all: $(STAMP) ## those too that take minutes, such as whole installations without a network
	@$(VENV) -m pytest -n auto --maxprocesses 4

lint: $(STAMP) ## ruff, its formatter, the imports, the ports, what breaks clients, the revisions (AGAINST=)
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@$(VENV) -m scaffold contracts
	@$(VENV) -m scaffold contracts --api $(if $(AGAINST),--against $(AGAINST))
	@$(VENV) -m db_manager lint

types: $(STAMP) ## mypy --strict
	@$(VENV) -m mypy .

proofs: $(STAMP) ## random fleets and lives of workspaces, changes under load, all kills: hours (FLEETS=, SEQUENCES=, CHANGES=, SEED=)
	@FLEETS=$${FLEETS:-200} SEQUENCES=$${SEQUENCES:-300} CHANGES=$${CHANGES:-100} KILLS=1 $(VENV) -m pytest -n auto --maxprocesses 4 --dist load tests/proofs tests/scaffold/test_all_or_nothing.py tests/scaffold/test_upgrade.py

faults: $(STAMP) ## services under fire, with the full counts: an hour (FAULTS=, SEED=)
	@FAULTS=$${FAULTS:-100} $(VENV) -m pytest -n auto --maxprocesses 2 -m faults tests/faults

ends: $(STAMP) ## `up` ended in every way, at any moment, in the background: an hour (ENDS=, SEED=)
	@ENDS=$${ENDS:-100} $(VENV) -m pytest -n 4 tests/scaffold/test_up_ends.py

bench: $(STAMP) ## the speed of a generated service beside others (BENCH=--quick: in a minute)
	@$(VENV) -m benchmarks $(BENCH)

docs: $(STAMP) ## the pages of docs/ as a site, in build/site
	@$(VENV) -c 'import zensical' 2>/dev/null || \
	  $(VENV) -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@$(VENV) -m zensical build --strict --clean

vendor: $(STAMP) ## vendor/ and the locks, which images are built from (git ignores them here)
	@rm -rf vendor && $(VENV) -m scaffold.distribution.vendor

# Resolved in a fresh workspace by its own `make lock`; the version and hash of the wheel are left open.
LOCKS := scaffold/templates/lock
OPEN := s/^quart-fleet==.*/quart-fleet=={{ framework.version }} \\/; \
	/^quart-fleet==/{n; s/sha256:.*/sha256:{{ digest }}/;}

lock: $(STAMP) ## the locks that `init` brings, after a change of the framework's dependencies
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(VENV) -m scaffold init "$$folder" --name fleet >/dev/null && \
	$(MAKE) --no-print-directory -C "$$folder" lock VENV="$(CURDIR)/$(VENV)" && \
	for name in requirements.lock requirements-dev.lock; do \
	  sed -e '$(OPEN)' "$$folder/$$name" >$(LOCKS)/$$name.jinja || exit; \
	done

# What every workspace installs, by hash; the framework is this clone instead.
LOCK := $(LOCKS)/requirements-dev.lock.jinja
LOCKED := sed -e '/^--find-links/d' -e '/^quart-fleet==/,/[^\\]$$/d' $(LOCK)

# uv where there is one, since it takes seconds; pip knows the indexes that only pip was told of.
$(STAMP): pyproject.toml $(LOCK)
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Python 3.11 or newer is needed. Name yours: make PYTHON=python3.13 install' >&2; exit 1; }
	@[ -z "$(OUTDATED)" ] || rm -rf .venv
	@[ ! -f $(STAMP) ] || [ "$$(cat $(STAMP))" = "$$(pwd -P)" ] || rm -rf .venv
	@if ! command -v uv >/dev/null; then \
	  echo 'Installing into .venv with pip; the first time takes a minute ...' >&2; \
	  $(MAKE) --no-print-directory --silent install-with-pip; \
	else \
	  echo 'Installing into .venv with uv ...' >&2; \
	  output=$$($(MAKE) --no-print-directory --silent install-with-uv 2>&1) || { \
	    echo "uv could not: $$(echo "$$output" | grep -v '^make' | tail -n 1)" >&2; \
	    echo 'Installing with pip instead ...' >&2; \
	    $(MAKE) --no-print-directory --silent install-with-pip; }; \
	fi
	@pwd -P > $(STAMP)
	@echo 'Installed: .venv/bin/python runs it, or: . .venv/bin/activate' >&2

USABLE := $(VENV) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
INTERPRETER = "$$("$(PYTHON)" -c 'import sys; print(sys.executable)')"
# The build backend is among what is locked, so the clone itself needs nothing from elsewhere.
CLONE := --no-deps --no-build-isolation --editable .

install-with-uv:
	$(USABLE) || { rm -rf .venv && uv venv --quiet --python $(INTERPRETER) .venv; }
	$(LOCKED) | uv pip install --quiet --python $(VENV) --require-hashes --requirement -
	uv pip install --quiet --python $(VENV) $(CLONE)

# pip's output, reduced to a line for each package; the exit code is pip's.
define run-pip
{ { PYTHONUNBUFFERED=1 $(VENV) -m pip install --disable-pip-version-check --progress-bar off $(1); \
  echo $$? >&3; } | while read -r line; do case "$$line" in \
  Collecting\ * | Processing\ *) echo "  $${line%% (*}" ;; Installing\ collected*) echo '  Installing' ;; \
  esac; done >&2; } 3>&1 | \
  { read -r code; exit "$$code"; }
endef

# Debian without python3-venv has no ensurepip: there, pip comes into .venv from outside.
install-with-pip:
	$(USABLE) || { rm -rf .venv && "$(PYTHON)" -m venv .venv >/dev/null 2>&1; } || { \
	  rm -rf .venv && "$(PYTHON)" -m venv --without-pip .venv && \
	  $(LOCKED) | sed -n '/^pip==/,/[^\\]$$/p' | \
	  "$(PYTHON)" -m pip --python $(VENV) install --quiet --requirement /dev/stdin; }
	$(LOCKED) | $(call run-pip,--require-hashes --requirement /dev/stdin)
	$(call run-pip,$(CLONE))
