#!/usr/bin/env bash
# TPU pods by gcloud's queued resources:  bash tools/tpu_pod.sh --help
set -euo pipefail
if [ "${BASH_VERSINFO[0]}" -lt 5 ]; then
  echo "tpu_pod.sh: error: bash 5 is needed, this is $BASH_VERSION" >&2
  exit 2
fi
cd "$(dirname "$0")/.."
. tools/tpu_pod/help.sh
. tools/tpu_pod/settings.sh
. tools/tpu_pod/cloud.sh

die() {
  echo "tpu_pod.sh: error: $*" >&2
  exit 2
}

# ---- The command line: options in opt, what is passed on in extra.
declare -A opt=()
extra=()

read_flags() {
  local allowed=" $1 --project --zone --dry_run "
  shift
  while [ $# -gt 0 ]; do
    case "$1" in
      -h | --help) usage "$verb" && exit 0 ;;
      --)
        shift
        extra+=("$@")
        break
        ;;
      --config.*=*)
        [[ $allowed == *" --config "* ]] || die "$verb takes no $1"
        extra+=("$1") && shift
        continue
        ;;
      --*=*)
        set -- "${1%%=*}" "${1#*=}" "${@:2}"
        ;;
    esac
    [[ $allowed == *" $1 "* ]] ||
      die "$verb takes no $1; see: tpu_pod.sh $verb --help"
    case "$1" in
      -f | --spot | --yes | --dry_run | --allow_dirty)
        opt[$1]=1 && shift
        ;;
      *)
        [ -n "${2:-}" ] || die "$1 needs a value"
        opt[$1]=$2 && shift 2
        ;;
    esac
  done
}

# ---- The verbs.
create() {
  local flags=("--accelerator-type=$type" "--runtime-version=$runtime")
  if [ "$slices" = 1 ]; then
    flags+=("--node-id=$name")
  else
    flags+=("--node-count=$slices" "--node-prefix=$name")
  fi
  [ -z "$spot" ] || flags+=(--spot)
  cloud compute tpus queued-resources create "$name" "${where[@]}" \
    "${flags[@]}" --async --quiet "$@"
  [ -n "$dry" ] || remember "$@"
  await
  [ -n "$dry" ] || echo "$name: $slices x $type, $((chips * slices)) chips," \
    "billed until: tpu_pod.sh delete $name"
}

install() {
  local revision unpack new=hispatial_jax.new
  revision=$(git rev-parse --short HEAD)
  if [ -n "$(git status --porcelain)" ] && [ -z "${opt[--allow_dirty]:-}" ]; then
    die "there are changes that are not committed, and HEAD is what is copied:" \
      "commit them, or --allow_dirty"
  fi
  need_idle
  git archive --format=tar.gz -o "$scratch/tree.tar.gz" HEAD
  copy_to_workers "$scratch/tree.tar.gz" hispatial_jax.tar.gz
  unpack="set -e; rm -rf $new; mkdir $new; tar -xzf hispatial_jax.tar.gz -C $new"
  unpack+="; echo $revision >$new/REVISION; if [ -d hispatial_jax/.venv ]; then"
  unpack+=" mv hispatial_jax/.venv $new/; fi; rm -rf hispatial_jax"
  unpack+="; mv $new hispatial_jax; $worker setup $extras"
  on_workers all "$unpack" || die "install failed on a worker, see above"
}

# Sent as a file that only its owner reads: never in a command line or a log.
send_secrets() {
  local key
  : >"$scratch/secrets"
  for key in WANDB_API_KEY HF_TOKEN; do
    [ -z "${!key:-}" ] || printf 'export %s=%q\n' "$key" "${!key}"
  done >>"$scratch/secrets"
  [ -s "$scratch/secrets" ] || return 0
  on_workers all "mkdir -p hispatial_run"
  copy_to_workers "$scratch/secrets" hispatial_run/secrets
}

launch() {
  need_idle
  if [ -n "$before" ]; then
    on_workers all "cd hispatial_jax && $before" ||
      die "--before failed on a worker, see above: $before"
  fi
  send_secrets
  on_workers all "$worker start$(printf ' %q' "$@")" ||
    die "not all workers started: stop $name, then launch it again"
  [ -z "$dry" ] || return 0
  printf '%s\0' "$@" >"$memory.launch"
  printf %s "$before" >"$memory.before"
  echo "runs on $name: tpu_pod.sh log $name -f"
}

new_launch() {
  local config=${opt[--config]:-} workdir=${opt[--workdir]:-}
  [ -n "$config" ] || die "launch needs --config PATH.py[:ARGS]"
  [ -f "${config%%:*}" ] || die "--config $config: no file ${config%%:*} here"
  [[ $workdir == gs://?* ]] ||
    die "--workdir '$workdir': expected gs://BUCKET/RUN, which all workers see"
  need_active "create or resume it first"
  launch "--config=$config" "--workdir=$workdir" "${extra[@]}"
}

resume() {
  local args=() flags=() now=NONE
  [ -e "$memory.launch" ] ||
    die "no launch of $name is known on this machine: launch it"
  mapfile -d '' args <"$memory.launch"
  before=$(<"$memory.before")
  [ -n "$dry" ] || now=$(state)
  case "$now" in
    ACTIVE)
      [ "$type $slices" = "$(saved type) $(saved slices)" ] ||
        die "$name is there as $(saved slices) x $(saved type): stop and delete" \
          "it first, then resume it as $slices x $type"
      launch "${args[@]}"
      return
      ;;
    NONE) ;;
    SUSPEND* | FAILED)
      echo "$name is $now: it is created again"
      cloud compute tpus queued-resources delete "$name" "${where[@]}" --force \
        --quiet
      ;;
    *) await ;;
  esac
  case "$now" in
    NONE | SUSPEND* | FAILED)
      mapfile -d '' flags <"$memory.flags"
      create "${flags[@]}"
      ;;
  esac
  install
  launch "${args[@]}"
}

delete() {
  local now=ACTIVE answer
  [ -n "$dry" ] || now=$(state)
  [ "$now" != NONE ] || die "there is no $name in $zone of $project"
  echo "$name is $now: $slices x $type, $((chips * slices)) chips; billed until" \
    "it is deleted. Buckets stay and are billed on."
  if [ -z "${opt[--yes]:-}$dry" ]; then
    [ -t 0 ] || die "delete asks first: run it in a terminal, or --yes"
    read -r -p "Delete $name? A run on it ends unsaved (see stop). [y/N] " answer
    [[ $answer == [yY]* ]] || die "$name stays"
  fi
  cloud compute tpus queued-resources delete "$name" "${where[@]}" --force --quiet
}

verb=${1:-}
case "$verb" in
  create) takes="--type --spot --slices --runtime" ;;
  wait | status) takes="" ;;
  install) takes="--extras --allow_dirty" ;;
  launch) takes="--config --workdir --before" ;;
  log) takes="-f --worker --slice --lines" ;;
  run) takes="--worker" ;;
  stop) takes="--seconds" ;;
  resume) takes="--type --slices --extras --allow_dirty" ;;
  delete) takes="--yes" ;;
  -h | --help) usage && exit 0 ;;
  *) die "unknown verb '$verb'; see: tpu_pod.sh --help" ;;
esac
case "${2:-}" in -h | --help) usage "$verb" && exit 0 ;; esac
name=${2:-}
[[ $name =~ ^[a-z]([a-z0-9-]{0,60}[a-z0-9])?$ ]] ||
  die "expected a NAME of a-z, 0-9 and -, got '$name'"
read_flags "$takes" "${@:3}"
dry=${opt[--dry_run]:-}
[ -n "$dry" ] || command -v gcloud >/dev/null ||
  die "gcloud is not installed: https://cloud.google.com/sdk/docs/install"
memory="${TPU_POD_HOME:-$HOME/.config/hispatial_jax/pods}/$name"
project=$(setting project project)
zone=$(setting zone compute/zone)
where=("--project=$project" "--zone=$zone")
type=${opt[--type]:-$(saved type)}
slices=${opt[--slices]:-$(saved slices)}
slices=${slices:-1}
spot=${opt[--spot]:-$(saved spot)}
[ -n "$type" ] || die "no --type is known for $name: create it on this machine" \
  "(v5litepod-64, v5p-128, v6e-64, ...)"
check_type
runtime=${opt[--runtime]:-}
[ "$type" != "$(saved type)" ] || runtime=${runtime:-$(saved runtime)}
runtime=${runtime:-$default_runtime}
extras=${opt[--extras]:-tpu,gcs,data,log}
before=${opt[--before]:-}
umask 077
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

case "$verb" in
  create)
    spot=${opt[--spot]:-}
    now=NONE
    [ -n "$dry" ] || now=$(state)
    [ "$now" = NONE ] ||
      die "$name exists already and is $now: wait, resume or delete $name"
    create "${extra[@]}"
    ;;
  wait) await ;;
  install)
    need_active "wait or resume it first"
    install
    ;;
  launch) new_launch ;;
  status)
    now=ACTIVE
    [ -n "$dry" ] || now=$(state)
    echo "$name: $now, $slices x $type"
    [ "$now" != ACTIVE ] || on_workers all "$worker status"
    ;;
  log)
    node=$(nodes | sed -n "$((${opt[--slice]:-0} + 1))p")
    [ -n "$node" ] || die "--slice ${opt[--slice]}: $name has $slices"
    ssh_to "$node" "${opt[--worker]:-0}" \
      "$worker log ${opt[--lines]:-100}${opt[-f]:+ -f}"
    ;;
  run)
    [ ${#extra[@]} -gt 0 ] || die "run needs -- COMMAND"
    on_workers "${opt[--worker]:-all}" "cd hispatial_jax && ${extra[*]}"
    ;;
  stop) on_workers all "$worker stop ${opt[--seconds]:-600}" ;;
  resume) resume ;;
  delete) delete ;;
esac
