# Commands for daily work. PYTHON is the interpreter of the environment to work in.
PYTHON ?= python3

# Two workers share the cores, and each has threads: a waiting thread must not spin.
TEST = OMP_WAIT_POLICY=passive $(PYTHON) -m pytest -n 2 --dist loadfile

.PHONY: build test test-all fuzz lint types docs bench mutants dist clean

build:          # install for development, with extensions in the source tree
	$(PYTHON) -m pip install --editable '.[test,lint,docs]'

test:           # the default tests, under three minutes
	$(TEST)

test-all:       # the default tests, doctests and slow statistics
	$(TEST)
	$(PYTHON) -m pytest --doctest-modules --pyargs rfa -p no:cacheprovider
	$(PYTHON) -m pytest -m slow

fuzz:           # ten minutes of random problems, with a new seed each time
	OMP_WAIT_POLICY=passive $(PYTHON) tests/fuzz.py --minutes 10 --seed $$(date +%s)

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	PATH="$(dir $(PYTHON)):$$PATH" cython-lint rfa

types:
	$(PYTHON) -m mypy

docs:
	$(PYTHON) -m sphinx -W --keep-going docs docs/_build

bench:          # the time of a step, compared with NumPy
	$(PYTHON) bench/step.py

mutants:        # put small faults into the code; a test must catch each of them
	$(PYTHON) tests/mutants.py

dist:
	$(PYTHON) -m pip install build
	$(PYTHON) -m build

clean:
	rm -rf build dist docs/_build *.egg-info rfa/*.so rfa/*/*.so
