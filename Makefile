# make demo and make test set up a new checkout and do what they say; the rest is for those who
# change it. Another Python: make test PYTHON=python3.12.

PYTHON ?= python3
RUN := .venv/bin/python
# The cheapest way to one sentence where there is no Python at all.
NO_PYTHON := No $(PYTHON) on the PATH: install Python 3.11 or newer, or name one, as in make test PYTHON=python3.11.
SETUP := @command -v "$(PYTHON)" >/dev/null || { echo "$(NO_PYTHON)" >&2; exit 1; }; "$(PYTHON)" scripts/setup.py

.PHONY: help setup demo bench figures accuracy study study-train test test-oldest fuzz sanitizers check mutants same-bits wheel test-wheel sass docs format clean
.NOTPARALLEL:

help:  ## this list
	@sed -n 's/^\([a-z-]*\): *## /  make \1\t/p' Makefile

setup:  ## .venv, build, editable install
	$(SETUP) setup

demo:  ## models of transformers on these kernels, compared with themselves
	$(SETUP) demo
	@$(RUN) examples/transformers_llama.py $(ARGS)

bench:  ## times on this CPU, beside other implementations; to keep them: make bench ARGS=--save
	$(SETUP) bench
	@$(RUN) -m benchmarks.cpu $(ARGS)

figures:  ## README's tables of times and their plots, from the newest results; the plot of schedules
	$(SETUP) figures
	@$(RUN) -m benchmarks.figures $(ARGS)
	@$(RUN) scripts/schedules_figure.py

accuracy:  ## errors beside other implementations, written into docs/numerics.md
	$(SETUP) accuracy
	@$(RUN) scripts/accuracy/run.py $(ARGS)

study:  ## docs/article.md: a popular article's claims, measured on small trained models
	$(SETUP) study
	@$(RUN) -m study $(ARGS)

study-train:  ## those models, trained again; half an hour
	$(SETUP) study-train
	@$(RUN) -m study.train $(ARGS)

test:  ## all tests: C++, C++ under the sanitizers, Python
	$(SETUP) test
	@$(RUN) scripts/test.py

test-oldest:  ## the Python tests on torch 2.11: ARGS="tests/python/test_vmap.py -k nested"
	$(SETUP) test-oldest
	@$(RUN) scripts/test_oldest.py $(ARGS)

check:  ## the gates: format, headers, layering, types, lint, oldest torch
	$(SETUP) check
	@$(RUN) scripts/check/run.py

fuzz:  ## the operators with drawn arguments, for long: make fuzz ARGS="--minutes 20"
	$(SETUP) fuzz
	@$(RUN) scripts/fuzz.py $(ARGS)

sanitizers:  ## libFuzzer below torch, Python tests under AddressSanitizer: ARGS="fuzz --minutes 20"
	$(SETUP) sanitizers
	@$(RUN) scripts/sanitizers/run.py $(ARGS)

mutants:  ## seeded faults: do the tests notice? Some of them: make mutants ARGS="--only NAME …"
	$(SETUP) mutants
	@$(RUN) scripts/mutants/run.py $(ARGS)

same-bits:  ## the same results from every compiler, NEON under emulation
	$(SETUP) same-bits
	@$(RUN) scripts/same_bits/run.py $(ARGS)

sass:  ## what nvcc made of the kernels: registers, threads, instructions; into docs/: ARGS=--write
	$(SETUP) sass
	@$(RUN) scripts/check/sass.py $(ARGS)

docs:  ## the reference of the C++ headers, as HTML in build/doxygen
	$(SETUP) check
	@$(RUN) scripts/check/api_docs.py
	@echo build/doxygen/html/index.html

format:  ## what the format gate wants, done
	$(SETUP) check
	@$(RUN) scripts/check/formatting.py --fix

wheel:  ## a wheel and a source distribution in dist/, from what make setup has built
	$(SETUP) wheel
	@$(RUN) scripts/make_wheel.py

test-wheel:  ## the Python tests on the wheel, without compilers: ARGS="tests/python/test_apply.py"
	$(SETUP) wheel
	@$(RUN) scripts/test_wheel.py $(ARGS)

clean:  ## all build output; .venv stays
	rm -rf build dist python/torch_rope/include python/torch_rope/lib python/torch_rope/*.so \
	  python/torch_rope/_built.py python/*.egg-info
