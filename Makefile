# `make repro` reproduces the reference study, `make test` runs every test.
# Both install what they need into this folder. With an environment of your own:
# make repro VENV=path/to/venv
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
UV := $(shell command -v uv 2>/dev/null || echo $(CURDIR)/.uv/bin/uv)
# The tests generate studies, whose toolkit is built with uv.
export PATH := $(BIN):$(dir $(UV)):$(PATH)
export UV_COMPILE_BYTECODE := 1

.PHONY: help install repro test quick check deps lock clean

help:
	@echo 'make repro    reproduce the reference study (dvc repro)'
	@echo 'make test     run every test'
	@echo 'make quick    run the tests that take less than a few seconds each'
	@echo 'make check    ruff, ruff format, mypy'
	@echo 'make lock     compile requirements.lock from pyproject.toml'

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml | $(UV)
	@test -x $(BIN)/python || $(UV) venv -q --python '>=3.10,<3.14' $(VENV)
	$(UV) pip install -q --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(CURDIR)/.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install -q uv

repro: install
	dvc repro
	@cat reports/results.md
	@echo 'report: reports/report.html'

test: install
	pytest -n auto -m ''

quick: install
	pytest -n auto

check: install
	ruff check
	ruff format --check
	mypy

deps: install
	python tests/closure.py

lock: | $(UV)
	$(UV) pip compile pyproject.toml -q -o requirements.lock --universal \
	  --python-version 3.10 --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --extra albumentations --extra audb \
	  --extra audiomentations --extra ffmpeg --extra images --extra opensmile \
	  --extra passt --extra s3 --extra speechbrain --extra timm \
	  --extra torch-audiomentations --extra torchvision --extra transformers \
	  --extra dev

clean:
	rm -rf .venv .uv .ckpt .rehear
