# SPDX-License-Identifier: GPL-2.0-or-later
PYTHON ?= /usr/bin/python3

.PHONY: setup
setup: .venv/bin/nst-fuzz

.venv/bin/nst-fuzz: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --editable '.[test,lint]'
	touch $@
