#!/bin/sh
# The published networks (three of about 190 MB each), into the cache folder or --root DIR.
PATH="$(dirname "$0")/../.venv/bin:$PATH" PYTHONPATH="$(dirname "$0")/.." exec python3 -m dextr download pascal-sbd pascal coco "$@"
