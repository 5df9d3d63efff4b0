# The commands of a work tree. `make run` and `make test` need nothing but a POSIX shell, make and a Python (or uv).
.DEFAULT_GOAL := help
.PHONY: help run venv test test-venv test-deps lint format bench requirements

help:
	@echo "make run           build .venv and start the platform"
	@echo "make venv          build .venv alone, for the parts as services"
	@echo "make test          lint and run every test"
	@echo "make test-deps     install PostgreSQL and Chromium for the tests (Debian, root)"
	@echo "make lint          all checks that run nothing"
	@echo "make format        format the sources"
	@echo "make bench         measure, beside the machine's own limits"
	@echo "make requirements  export requirements.txt from uv.lock"

run: venv
	@exec .venv/bin/python manage.py up

venv:
	@scripts/sync --no-dev

test-venv:
	@scripts/sync --all-extras --group dev

test: test-venv
	@scripts/lint
	@scripts/test

test-deps:
	@scripts/test-deps

lint: test-venv
	@scripts/lint

format: test-venv
	.venv/bin/ruff check --fix-only --quiet .
	.venv/bin/ruff format .

bench: test-venv
	@.venv/bin/python -m bench

requirements:
	@scripts/requirements > requirements.txt.new && mv requirements.txt.new requirements.txt
