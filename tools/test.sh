#!/usr/bin/env bash
# Fresh machine -> the whole test suite:  bash tools/test.sh [pytest args]
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in -h | --help)
  echo "usage: bash tools/test.sh [pytest args]"
  echo "Makes .venv (PYTHON=python3 by default), installs, runs all tests."
  exit 0 ;;
esac
. tools/venv.sh "data,convert,eval,log,demo,api,dev"
exec python -m pytest "$@"
