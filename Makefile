# Each is `python make.py` of the same name, which sets everything up by itself and works without make too.
PYTHON ?= python3
PROFILE ?= class
DATA ?= phantom
BENCH ?=

.PHONY: reproduce test test-quick test-torch test-wheel test-systems lab bench lint notebooks lock wheels clean

reproduce:
	$(PYTHON) make.py reproduce --profile $(PROFILE) --data "$(DATA)"

bench:
	$(PYTHON) make.py bench $(BENCH)

test test-quick test-torch test-wheel test-systems lab lint notebooks lock wheels clean:
	$(PYTHON) make.py $@
