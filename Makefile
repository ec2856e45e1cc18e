# A thin face. Each line is a command that can be typed by hand (on Windows: .venv\Scripts instead of .venv/bin).
# ARGS goes through to the program: make test ARGS="-e py313-django61 -- -k merge", make bench ARGS=--quick

PYTHON ?= python3
BIN := .venv/bin

.PHONY: test demo bench faults lint docs clean

test: .venv/tox.installed
	$(BIN)/python .ci/matrix.py $(ARGS)

demo: .venv/demo.installed
	$(BIN)/python -m example_project.demo $(ARGS)

bench: .venv/bench.installed
	$(BIN)/python -m benchmarks $(ARGS)

faults: .venv/tox.installed
	$(BIN)/python .ci/matrix.py --parallel-live -e faults $(ARGS)

lint: .venv/tox.installed
	$(BIN)/python -m tox run -e lint,types $(ARGS)

docs: .venv/tox.installed
	$(BIN)/python -m tox run -e docs $(ARGS)

clean:
	rm -rf .venv .tox .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist docs/_build docs/reference/generated

.venv/uv.installed:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo '$(PYTHON) is missing or older than Python 3.11. Install one, or say: make PYTHON=python3.13 $(MAKECMDGOALS)'; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@

.venv/tox.installed: .venv/uv.installed pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --group tox
	@touch $@

.venv/demo.installed: .venv/uv.installed pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[demo]'
	@touch $@

.venv/bench.installed: .venv/uv.installed pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[demo]' --group bench
	@touch $@
