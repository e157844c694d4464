#!/bin/sh
# The DeepLab-v2 weights that the paper's training starts from, into the cache folder or --root DIR.
PYTHONPATH="$(dirname "$0")/..${PYTHONPATH:+:$PYTHONPATH}" exec python3 -m dextr download deeplab "$@"
