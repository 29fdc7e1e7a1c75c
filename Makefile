# make demo   set everything up and hear a call over a network that loses packets
# make test   set everything up and run all tests     (make test ARGS="-m 'not interop'" runs some)
# make lint   style, formatting and types, of Python and JavaScript
# make bench  what is left of speech on bad networks: in virtual time, and as root on Linux with real processes
#             (three quarters of an hour; make bench-others, an hour: other programs over the same wire;
#             make bench-system: install what both need; ARGS="--row loss10 --row 'line96-*' --save": options of them all)
# make fuzz   fuzz every parser, a minute each (ARGS="--seconds 600"; ARGS="sdp --keep"; ARGS="--inputs 2000000")
# make soak   a call under floods and faults for half an hour, as root on Linux (ARGS="--minutes 5"; ARGS="--floods":
#             ten minutes of each flood, with the memory that it takes)
# make compiled  a copy of the program for many calls at a time, in build/compiled: the path of the media is compiled
# make lock   pin what CI installs, with hashes, in tests/requirements.lock (needs uv)
# make clean  remove what the others made
#
# The first of demo, test and lint installs what is missing; after that none of them needs the network.
# Another Python: make test PYTHON=python3.13 VENV=build/venv-3.13

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
# What is installed beside PyAudio's headers: ranges for people; CI takes what is pinned in tests/requirements.lock.
REQUIREMENTS ?= -r requirements.txt -r tests/requirements.txt

RUN := $(VENV)/bin/python
READY := $(VENV)/.requirements-stamp
BENCH_READY := $(VENV)/.bench-stamp
FUZZ_READY := $(VENV)/.fuzz-stamp

.PHONY: help demo test lint format fuzz soak compiled lock system clean bench bench-others bench-system

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

demo: $(READY)
	@$(RUN) -m tools.demo $(ARGS)

test: $(READY)
	$(RUN) -m pytest $(ARGS)

lint: $(READY)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/oxlint --deny-warnings voip
	$(RUN) -m mypy

format: $(READY)
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: $(BENCH_READY)
	@$(RUN) -m tests.bench virtual $(ARGS)
	@$(RUN) -m tests.bench ours --if-possible $(ARGS)

bench-others: $(BENCH_READY)
	@$(RUN) -m tests.bench others --if-possible $(ARGS)

$(BENCH_READY): tests/bench/requirements.txt $(READY)
	@$(RUN) -m pip install --disable-pip-version-check --quiet -r tests/bench/requirements.txt
	@touch $@

fuzz: $(FUZZ_READY)
	@$(RUN) -m tests.fuzz $(ARGS)

$(FUZZ_READY): tests/fuzz/requirements.txt $(READY)
	@$(RUN) -m pip install --disable-pip-version-check --quiet -r tests/fuzz/requirements.txt
	@touch $@

soak: $(READY)
	@$(RUN) -m tests.soak $(ARGS)

compiled: $(READY)
	@$(RUN) -m tools.compile $(ARGS)

bench-system:
	@as_root=; if [ "$$(id -u)" != 0 ]; then as_root=sudo; fi; \
	$$as_root apt-get update -qq && \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends iproute2 util-linux \
	    ffmpeg asterisk-core-sounds-en-g722 baresip gstreamer1.0-tools gstreamer1.0-plugins-base \
	    gstreamer1.0-plugins-good >/dev/null

$(READY): requirements.txt tests/requirements.txt tests/requirements.lock
	@$(MAKE) --no-print-directory system
	@echo "setting up $(VENV) ..."
	@$(RUN) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(RUN) -m pip install --disable-pip-version-check --quiet $(REQUIREMENTS)
	@touch $@

# PyAudio is compiled here: a compiler, the headers of this very Python, and those of PortAudio. Only what is missing is
# installed, and only if apt-get is here to do it.
define FIND_MISSING
import os, shutil, sysconfig
from importlib.util import find_spec
python = "python" + sysconfig.get_python_version()
headers = ["/usr/include", "/usr/local/include", "/opt/homebrew/include", "/opt/local/include"]
have = {
    "gcc": any(map(shutil.which, ("cc", "gcc", "clang"))),
    "libc6-dev": os.path.exists("/usr/include/stdio.h") or not shutil.which("apt-get"),
    python + "-dev": os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")),
    python + "-venv": find_spec("ensurepip") and find_spec("venv"),
    "portaudio19-dev": any(os.path.exists(os.path.join(path, "portaudio.h")) for path in headers),
}
print(*(package for package in have if not have[package]))
endef
export FIND_MISSING

system:
	@missing=$$($(PYTHON) -c "$$FIND_MISSING") || exit 1; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then \
	    echo "Please install what Debian calls: $$missing" >&2; \
	    echo "(macOS: xcode-select --install; brew install portaudio), then run make again." >&2; exit 1; fi; \
	as_root=; if [ "$$(id -u)" != 0 ]; then as_root=sudo; fi; \
	if [ -n "$$as_root" ] && ! command -v sudo >/dev/null; then \
	    echo "Please run as root: apt-get install $$missing" >&2; exit 1; fi; \
	echo "installing system packages ($${as_root:+$$as_root }apt-get): $$missing"; \
	$$as_root apt-get update -qq && \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null

lock:
	uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --upgrade \
	    requirements.txt tests/requirements.txt tests/fuzz/requirements.txt --output-file tests/requirements.lock

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage heard.wav
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
