#!/bin/sh
# The DeepLab-v2 weights that the paper's training starts from, into the cache folder or --root DIR.
PATH="$(dirname "$0")/../.venv/bin:$PATH" PYTHONPATH="$(dirname "$0")/.." exec python3 -m dextr download deeplab "$@"
