#!/usr/bin/env bash
# Installs the wheel of DIST into an environment below WORK, checks the example there, and runs it.
#
#	examples/python/run.sh DIST WORK
set -euo pipefail
dist=$(realpath "$1") work=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$work/python"
mkdir "$work/python"
cp "$here"/{example.py,pyproject.toml,requirements.txt,requirements-dev.txt} "$work/python/"
cd "$work/python"
python3 -m venv venv
# The wheel by its path: by its name an index could answer instead.
venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt "$dist"/python/samsara_gateway-*.whl >&2
{
	venv/bin/ruff check example.py
	venv/bin/ruff format --check example.py
	venv/bin/mypy example.py
} >&2
exec venv/bin/python example.py
