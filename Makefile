# make run    serve the page (installs what it needs first)
# make test   install what the tests need and run them all
# make check  style, types and the quick tests: what to run while working
# make lint   style and types, of Python and JavaScript
# make format lay both out

PYTHON ?= python3.11
PORT ?= 7860
VENV := .venv
PY := $(VENV)/bin/python
# Node comes with the development tools, so it and its npm are those of the environment.
NPM := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" npm
CHROMIUM := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

.PHONY: install run dev lint format check test bench clean

install: $(VENV)/.installed

# Stamps: pip runs again only when the requirements change.
$(VENV)/.installed: requirements.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(PY) -m pip install --disable-pip-version-check -r requirements-dev.txt
	touch $@

node_modules/.installed: $(VENV)/.installed-dev package.json package-lock.json
	$(NPM) ci --no-audit --no-fund
	touch $@

run: install
	$(PY) app.py --port $(PORT)

# The system's browser if there is one; else Debian's, as root; else the one that Playwright downloads.
dev: $(VENV)/.installed-dev
ifeq ($(CHROMIUM),)
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update && apt-get install -y chromium; \
	then :; else $(PY) -m playwright install chromium; fi
endif

# Gradio writes a .pyi beside each component when it is imported; mypy would read it in place of the module.
lint: $(VENV)/.installed-dev node_modules/.installed
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	rm -f ui/*.pyi
	$(PY) -m mypy
	$(NPM) run --silent lint

format: $(VENV)/.installed-dev node_modules/.installed
	$(PY) -m ruff format .
	$(NPM) run --silent format

check: lint
	$(NPM) test --silent
	$(PY) -m pytest -q -n auto -m "not slow and not browser"

# Browsers one after another: they are driven by the clock.
test: dev node_modules/.installed
	$(NPM) test --silent
	$(PY) -m pytest -n auto -m "not browser"
	$(PY) -m pytest -m browser

bench: dev
	$(PY) -m benchmarks.opening
	$(PY) -m benchmarks.scrub
	$(PY) -m benchmarks.schedule_drag
	$(PY) -m benchmarks.plane
	$(PY) -m benchmarks.loss
	$(PY) -m benchmarks.crowd
	$(PY) -m benchmarks.sampling
	$(PY) -m benchmarks.gpu

clean:
	rm -rf $(VENV) node_modules .mypy_cache .pytest_cache .ruff_cache
