# Everything a developer or CI runs; `make` alone lists it. Needs git, make and Python >= 3.11.
PYTHON ?= python3
VENV := .venv/bin
RUN := $(VENV)/python -m
CHECKED := src $(wildcard tests/typing examples benchmarks tools)

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-cluster demo-bank test check fmt services services-stop faults bench docs clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' \
	  | awk -F'|' '{ printf "make %-14s %s\n", $$1, $$2 }'

setup: .venv/ready ## make .venv with goldseam, its extras and the tools

.venv/ready: pyproject.toml tools/setup.sh
	sh tools/setup.sh $(PYTHON)

demo: setup ## a real shop's 6,919 orders through four services, broken on the way; the ledger; CI=1 ends it then
	$(RUN) examples.shop.demo $(if $(CI),--once)

demo-cluster: setup services ## the same on PostgreSQL and three Kafka brokers
	@test -s .services/postgres.url && test -s .services/kafka.bootstrap \
	  || { echo "demo-cluster needs PostgreSQL and Kafka, and one is missing: see make services"; exit 1; }
	$(RUN) examples.shop.demo $(if $(CI),--once) --folder demo/cluster --prefix "shop_$$$$_" \
	  --database "$$(cat .services/postgres.url)" --broker "kafka://$$(cat .services/kafka.bootstrap)"

demo-bank: setup ## run the bank on an embedded store, break it, and prove that nothing was lost
	$(RUN) examples.bank.demo

test: setup services ## run the whole suite on SQLite and PostgreSQL
	$(RUN) pytest -n 2 --dist loadfile

check: setup ## lint, types, law of imports, spelling, generated pages
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy $(CHECKED)
	$(VENV)/lint-imports
	$(VENV)/codespell
	$(RUN) tools.catalogue_to_docs --check

fmt: setup ## format and mend what ruff can mend
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

services: ## start this checkout's own PostgreSQL and three Kafka brokers, on free ports; see .services/
	@$(PYTHON) -m tools.services start || test $$? -eq 3

services-stop: ## stop it again
	@$(PYTHON) -m tools.services stop || test $$? -eq 3

faults: setup services ## the long fault runs: kills, restarts, full disks
	$(RUN) pytest -m soak --timeout 1800

bench: setup services ## measure beside the raw limits, in ratios
	$(VENV)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(RUN) benchmarks
	$(RUN) benchmarks.sagas
	@test -s .services/kafka.bootstrap || echo "relay and consumers: not measured, Kafka is missing: see make services"
	test ! -s .services/kafka.bootstrap || { $(RUN) benchmarks.relay && $(RUN) benchmarks.consume; }

docs: setup ## build the documentation into site/
	$(VENV)/zensical build --clean

clean: services-stop ## remove what the other targets made, the server's data included
	@home=$$(cat .services/postgres.home 2>/dev/null || true); \
	  if [ -n "$$home" ] && [ -f "$$home/made-by-goldseam-services" ]; then rm -rf "$$home"; fi
	rm -rf .venv .services .mypy_cache .ruff_cache .pytest_cache .hypothesis site build dist
