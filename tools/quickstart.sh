#!/usr/bin/env bash
# Fresh machine -> records, a trained toy model, its scores by level, an
# answered question and a report:  bash tools/quickstart.sh
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'HELP'
usage: bash tools/quickstart.sh [--workdir DIR] [--help]

Makes .venv, installs the project, renders rooms with exact depth into records,
trains a small HiSpatial on questions about them, measures it by level, asks it
one question and writes DIR/report.html. About ten minutes on two CPU cores.
A run that was interrupted continues where it stopped.

  --workdir DIR   where everything goes (default: runs/toy)
  PYTHON=...      the interpreter to make .venv from (default: python3)
HELP
}

workdir=runs/toy
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --workdir) workdir="${2:?--workdir needs a folder}"; shift 2 ;;
    *) echo "error: unknown argument $1 (see --help)" >&2; exit 2 ;;
  esac
done

begin=$SECONDS
step() { printf '\n== %s  (%d s)\n' "$1" $((SECONDS - begin)); }

step "1/6 install"
. tools/venv.sh "data,log,demo"
recipe="configs/toy.py:quick=True,root=$workdir"

step "2/6 records: rooms with exact depth -> $workdir/data"
python tools/build_records.py toyworld --out "$workdir/data" \
  --train 2000 --val 300 --size 112 --tokenizer "$workdir/tokenizer.model"

step "3/6 train -> $workdir"
python -m hispatial_jax.train --config "$recipe" --workdir "$workdir"

step "4/6 evaluate by level and task -> $workdir/eval"
python tools/evaluate.py --config "$recipe" --checkpoint "$workdir" \
  --benchmark by_level --out "$workdir/eval"

step "5/6 report, and a held-out photo with its depth"
python tools/write_report.py "$workdir" --photo "$workdir/photo.jpg"

step "6/6 ask about the photo"
hispatial ask "$workdir/photo.jpg" "$(cat "$workdir/photo.question.txt")" \
  --depth "$workdir/photo.depth.png" \
  --intrinsics "$workdir/photo.camera.json" --checkpoint "$workdir"

step "done: open $workdir/report.html"
