#!/usr/bin/env bash
# Installs the wheel of DIST into an environment below WORK, checks the example there, and runs it; with MAIN that file
# in its place, unchecked.
#
#	examples/python/run.sh DIST WORK [MAIN]
set -euo pipefail
dist=$(realpath "$1") work=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$work/python"
mkdir "$work/python"
cp "${3:-$here/example.py}" "$work/python/example.py"
cp "$here"/{pyproject.toml,requirements.txt,requirements-dev.txt} "$work/python/"
cd "$work/python"
python3 -m venv venv
# The wheel by its path: by its name an index could answer instead.
venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt "$dist"/python/samsara_gateway-*.whl >&2
if [[ -z ${3:-} ]]; then
	venv/bin/ruff check example.py
	venv/bin/ruff format --check example.py
	venv/bin/mypy example.py
fi >&2
exec venv/bin/python example.py
