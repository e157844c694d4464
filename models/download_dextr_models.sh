#!/bin/sh
# The published networks (three of about 190 MB each), into the cache folder or --root DIR.
PYTHONPATH="$(dirname "$0")/..${PYTHONPATH:+:$PYTHONPATH}" exec python3 -m dextr download pascal-sbd pascal coco "$@"
