#!/usr/bin/env bash
# Fresh machine -> the whole test suite:  bash tools/test.sh [pytest args]
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in -h | --help)
  echo "usage: bash tools/test.sh [pytest args]"
  echo "Makes .venv (PYTHON=python3 by default), installs, runs all tests."
  exit 0 ;;
esac
. tools/venv.sh "data,convert,eval,api,log,demo,dev"
# Two workers, as many as the smallest machine has cores; -n 0 for none. The
# files with most slow tests come first (tests/conftest.py).
exec python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
