# Each target sets up what it needs; nothing but git, make and python3-venv has to be there before.

PYTHON ?= python3
# The trainer's TensorFlow has no build for newer versions of Python than this one.
PYTHON_TRAINER ?= python3.11
SECONDS ?= 0

DEVICE := .venv/.ready
DEV := .venv/.ready-dev
TRAINER := .venv-trainer/.ready
TFLITE := .venv-tflite/.ready
PEERS := .venv-bench/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test test-device test-trainer test-tflite lint bench soak node-red soak-models soak-line soak-belts setup setup-trainer model arm64 service-test picamera clean

help:  ## show what can be made
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(DEVICE)  ## run the simulated line: verdicts here, a page to look at (SECONDS=20 ends by itself)
	@.venv/bin/linegate demo --seconds $(SECONDS)

setup: $(DEVICE)  ## install the device's commands: .venv/bin/linegate
setup-trainer: $(TRAINER)  ## install the workstation's commands: .venv-trainer/bin/linegate-train

test: lint test-device test-tflite test-trainer  ## everything that can be checked by a machine

test-device: $(DEV)
	@.ci/system-packages.sh
	.venv/bin/python -m pytest tests --ignore tests/trainer

test-tflite: $(TFLITE)
	@if [ -x .venv-tflite/bin/python ]; then .venv-tflite/bin/python -m pytest tests/test_classify.py tests/test_bundle.py tests/test_signature.py; \
	 else cat $(TFLITE); fi

test-trainer: $(TRAINER)
	@if [ -x .venv-trainer/bin/python ]; then .venv-trainer/bin/python -m pytest tests/trainer; else cat $(TRAINER); fi

lint: $(DEV)  ## style, types, and who may import whom
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: $(DEVICE)  ## what every stage costs, and the whole beside other trackers on the same belts (twenty minutes)
	.venv/bin/linegate bench
	.venv/bin/python -m benchmarks.stages
	@$(MAKE) --no-print-directory $(PEERS)
	@if [ -s $(PEERS) ]; then cat $(PEERS); else .venv-bench/bin/python -m benchmarks.compare; fi

soak: $(DEV)  ## deliver 10,000 verdicts while broker, network, disk and daemon fail (three times; forty minutes)
	.venv/bin/python -m tests.soak.soak --parts 10000 --rate 20 --seeds 1 2 3

node-red: $(DEV)  ## try the shipped flow in a real Node-RED, from npm
	.venv/bin/python -m pytest tests/test_node_red.py

soak-line: $(DEV)  ## 70,000 parts past the reject gate, then five minutes of too much to judge (ten minutes)
	.venv/bin/python -m tests.soak.ejection
	.venv/bin/python -m tests.soak.overload

soak-belts: $(DEV)  ## follow 10,000 simulated parts in every scenario, on belts drawn anew (half an hour)
	.venv/bin/python -m tests.soak.belts --parts 10000

soak-models: $(DEV)  ## let two models change places 200 times under 20 parts a second (two minutes)
	.venv/bin/python -m tests.soak.swaps --swaps 200

# The key that signs the demo model is made for it and thrown away: nothing else can ever be signed with it.
model: $(TRAINER) $(DEVICE)  ## train the demo model anew, sign it and put it on the shelf
	@rm -rf build/demo-key
	.venv/bin/linegate models keygen linegate-demo --out build/demo-key
	.venv-trainer/bin/linegate-train run trainer/recipes/demo.yaml --key build/demo-key/linegate-demo.key
	cp build/demo-key/linegate-demo.pub models/keys/
	@rm -rf build/demo-key

arm64:  ## build Dockerfile.arm64 here and run it under emulation
	deploy/arm64/build.sh

$(DEVICE): pyproject.toml requirements/device.txt requirements/demo.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v < (3, 11) and "Linegate needs Python 3.11 or newer, %s is %d.%d; name another: make PYTHON=python3.11 $(MAKECMDGOALS)" % (sys.executable, *v))'
	@test -d .venv || { echo "making .venv"; $(PYTHON) -m venv .venv; }
	@echo "installing the device's packages (a minute or two the first time)"
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/demo.txt
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(DEV): $(DEVICE) requirements/dev.txt
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	@touch $@

# A machine without Python 3.11 can do all but this; the reason is left where the tests find it.
$(TFLITE): requirements/tflite-runtime.txt pyproject.toml
	@if command -v $(PYTHON_TRAINER) >/dev/null && $(PYTHON_TRAINER) -c '' 2>/dev/null; then \
	  $(PYTHON_TRAINER) -m venv .venv-tflite && \
	  .venv-tflite/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/tflite-runtime.txt; \
	  touch $@; \
	else mkdir -p .venv-tflite; echo "tflite-runtime is not tested: it needs Python 3.11 ($(PYTHON_TRAINER) not found)" > $@; fi

# Other people's trackers, for the benchmark only. Without them the reason is shown in place of the comparison.
$(PEERS): benchmarks/requirements.txt
	@echo "installing other trackers into .venv-bench (a minute the first time)"
	@rm -rf .venv-bench && $(PYTHON) -m venv .venv-bench
	@if .venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $< 2>.venv-bench/log; \
	 then : > $@; \
	 else rm -f $@; mkdir -p .venv-bench; \
	  echo "no comparison with other trackers: they cannot be installed (.venv-bench/log); make bench tries again" > $@; \
	  touch -d 1970-01-01 $@; fi

$(TRAINER): trainer/pyproject.toml requirements/trainer.txt
	@if command -v $(PYTHON_TRAINER) >/dev/null && $(PYTHON_TRAINER) -c '' 2>/dev/null; then \
	  echo "installing the trainer's packages (2.3 GB, a few minutes the first time)"; \
	  $(PYTHON_TRAINER) -m venv .venv-trainer && \
	  .venv-trainer/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/trainer.txt && \
	  .venv-trainer/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e . -e trainer; \
	  touch $@; \
	else mkdir -p .venv-trainer; echo "the trainer is not tested: it needs Python 3.11 ($(PYTHON_TRAINER) not found)" > $@; fi

service-test:  ## boot a Debian in a container and hold systemd to what the unit promises (root)
	deploy/systemd/try-in-container.sh

picamera:  ## look through picamera2 and libcamera's virtual camera (root, ten minutes)
	tests/acceptance/picamera-virtual.sh

clean:  ## remove everything that was made here
	rm -rf .venv .venv-trainer .venv-tflite .venv-bench build out var .pytest_cache .mypy_cache .ruff_cache *.egg-info
