# SPDX-License-Identifier: GPL-2.0-or-later
#
# make fuzz     build the module, fuzz it for a short while, print a summary
# make test     everything that is checked before a change goes in
# make setup    what both need first; does nothing when it is there
# make kmod     build nst.ko for the guests' kernel and print its path
# make lint     ruff and mypy alone
# make clean    remove what was built in the tree (the cache stays: ~/.cache/nst)

BIN := .venv/bin
CAMPAIGNS ?= stream-record dgram-record
CASES ?= 1000

.PHONY: fuzz
fuzz: kmod
	$(BIN)/nst-fuzz run --cases $(CASES) $(CAMPAIGNS)

.PHONY: test
test: lint kmod
	$(BIN)/pytest --numprocesses 2 --dist loadgroup

.PHONY: setup
setup:
	@tools/setup.sh

.PHONY: kmod
kmod: setup
	$(BIN)/nst-fuzz kmod

.PHONY: lint
lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

.PHONY: clean
clean:
	rm -rf .venv .setup.lock build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	test ! -e kmod/Makefile || $(MAKE) -C kmod clean
