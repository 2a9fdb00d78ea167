# SPDX-License-Identifier: GPL-2.0-or-later
#
# make fuzz     build the module, fuzz it for a short while, print a summary
# make test     everything that is checked before a change goes in
# make setup    what both need first; does nothing when it is there
# make test-kernels  the tests inside guests on all kernels, unit tests and static checks too;
#               the first time it builds the sanitizer kernel
# make test-programs  iperf3, curl and nginx, redis and ssh over NST, in a guest
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

KERNELS := debian-6.1,debian-6.12,sanitizer-6.12

.PHONY: test-kernels
test-kernels: setup
	$(BIN)/nst-fuzz kernel fetch --quiet sanitizer-6.12
	$(BIN)/nst-fuzz kmod --check
	$(BIN)/nst-fuzz kunit
	$(BIN)/pytest --kernels $(KERNELS) tests/guest/test_in_guest.py \
		tests/campaigns/test_guest_coverage.py tests/campaigns/test_guest_kmemleak.py \
		tests/campaigns/test_guest_pressure.py

.PHONY: test-programs
test-programs: setup
	$(BIN)/nst-fuzz guest run -- $(BIN)/python -B -m pytest -v -p no:cacheprovider \
		tests/in_guest/test_nst_run.py

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
	rm -rf .venv .setup.lock build dist *.egg-info nst_scapy/*.so .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	test ! -e kmod/Makefile || $(MAKE) -C kmod clean
