#!/usr/bin/env bash
# One worker's side of tools/tpu_pod.sh, which runs it there by ssh:
#   setup EXTRAS | start ARGS of hispatial_jax.train | status | log LINES [-f]
#   stop SECONDS
# What runs is in ~/hispatial_run: pid, log, and for a moment the secrets.
set -euo pipefail
cd "$(dirname "$0")/../.."
run="$HOME/hispatial_run"
mkdir -p "$run"
host=$(hostname)

say() { echo "$host: $*"; }

# The process of a pid file may be gone, and its number another's.
running() {
  [ -e "$run/pid" ] &&
    tr '\0' ' ' 2>/dev/null <"/proc/$(cat "$run/pid")/cmdline" |
    grep -q "hispatial_jax.train"
}

# TPU images come with a Python that may be too old: uv brings another one.
modern_python() {
  local name
  for name in python3.13 python3.12 python3.11; do
    if "$name" -c "import venv, ensurepip" 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  python3 -m pip install --quiet --user uv >&2
  "$HOME/.local/bin/uv" python install --quiet 3.12 >&2
  "$HOME/.local/bin/uv" python find 3.12
}

verb=$1
shift
case "$verb" in
  setup)
    if [ ! -x .venv/bin/python ]; then
      PYTHON="${PYTHON:-$(modern_python)}"
    fi
    . tools/venv.sh "$1"
    say "installed $(cat REVISION) with [$1]"
    ;;
  start)
    if [ ! -x .venv/bin/python ]; then
      say "nothing is installed here: bash tools/tpu_pod.sh install NAME" >&2
      exit 1
    fi
    if running; then
      say "running already, pid $(cat "$run/pid")" >&2
      exit 1
    fi
    printf '\n== %s, %s: train%s\n' "$(date -u +%FT%TZ)" "$(cat REVISION)" \
      "$(printf ' %q' "$@")" >>"$run/log"
    if [ -e "$run/secrets" ]; then
      # shellcheck source=/dev/null
      . "$run/secrets"
      rm "$run/secrets"
    fi
    setsid nohup .venv/bin/python -m hispatial_jax.train --distributed "$@" \
      >>"$run/log" 2>&1 </dev/null &
    echo $! >"$run/pid"
    say "started, pid $!"
    ;;
  status)
    if running; then
      say "running, pid $(cat "$run/pid"); $(tail -n 1 "$run/log")"
    else
      say "idle; $(tail -n 1 "$run/log" 2>/dev/null || echo "no run yet")"
    fi
    ;;
  log)
    if [ ! -e "$run/log" ]; then
      say "no run yet" >&2
      exit 1
    fi
    exec tail -n "$1" ${2:+-F} "$run/log"
    ;;
  stop)
    if ! running; then
      say "idle"
      exit 0
    fi
    kill -TERM "$(cat "$run/pid")"
    for ((waited = 0; waited < $1; waited++)); do
      running || break
      sleep 1
    done
    if running; then
      say "still running $1 s after SIGTERM: see its log" >&2
      exit 1
    fi
    say "stopped; $(tail -n 1 "$run/log")"
    ;;
  *)
    echo "worker.sh: unknown verb $verb" >&2
    exit 2
    ;;
esac
