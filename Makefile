# `make demo` and `make test` need Python 3.10 or newer with venv, and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test docs fuzz fix clean

demo: $(VENV)/.installed
	$(BIN)/python demo.py --output demo_output/mask.png

test: $(VENV)/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# Modules are named one by one: pdoc leaves out those that a package's __all__ does not list.
docs: $(VENV)/.tools
	$(BIN)/pdoc --docformat google --output-directory build/docs networks dextr dataloaders \
	  $(subst /,.,$(patsubst %/__init__,%,$(basename $(shell find networks dextr dataloaders -name "*.py" ! -name __main__.py))))

fuzz: $(VENV)/.tools
	PYTHONPATH=.:tests $(BIN)/python -m fuzz --count 10000

fix: $(VENV)/.tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) demo_output

# The stamps are written last, so that a broken installation is tried again.
$(VENV)/.installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	touch $@

$(VENV)/.tools: $(VENV)/.installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	touch $@
