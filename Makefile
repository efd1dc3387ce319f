# The few commands people type. PYTHON is the interpreter of the environment to work in.
PYTHON ?= python3

# two workers, each with threads: those that wait are not to spin
TEST = OMP_WAIT_POLICY=passive $(PYTHON) -m pytest -n 2 --dist loadfile

.PHONY: build test test-all fuzz lint types docs bench mutants dist clean

build:          # install for development: extensions are built in place
	$(PYTHON) -m pip install --editable '.[test,lint,docs]'

test:           # the default tests, under three minutes
	$(TEST)

test-all:       # with doctests and slow statistics
	$(TEST)
	$(PYTHON) -m pytest --doctest-modules --pyargs rfa -p no:cacheprovider
	$(PYTHON) -m pytest -m slow

fuzz:           # ten minutes of random problems, other ones each time
	OMP_WAIT_POLICY=passive $(PYTHON) tests/fuzz.py --minutes 10 --seed $$(date +%s)

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	PATH="$(dir $(PYTHON)):$$PATH" cython-lint rfa

types:
	$(PYTHON) -m mypy

docs:
	$(PYTHON) -m sphinx -W --keep-going docs docs/_build

bench:          # time of a step beside NumPy's
	$(PYTHON) bench/step.py

mutants:        # small faults put into the code, each of which a test must catch
	$(PYTHON) tests/mutants.py

dist:
	$(PYTHON) -m pip install build
	$(PYTHON) -m build

clean:
	rm -rf build dist docs/_build *.egg-info rfa/*.so rfa/*/*.so
