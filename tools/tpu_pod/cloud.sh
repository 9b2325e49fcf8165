# shellcheck shell=bash disable=SC2154
# Sourced by tools/tpu_pod.sh, whose variables it reads: a pod by gcloud.
cloud() {
  if [ -n "$dry" ]; then
    printf '+ gcloud%s\n' "$(printf ' %q' "$@")"
  else
    gcloud "$@"
  fi
}

state() {
  local out
  if out=$(gcloud compute tpus queued-resources describe "$name" \
    "${where[@]}" --format="value(state.state)" 2>&1); then
    out=${out##*$'\n'}
    echo "${out:-UNKNOWN}"
  elif [[ $out == *NOT_FOUND* || $out == *"not found"* ]]; then
    echo NONE
  else
    echo "tpu_pod.sh: error: gcloud: $out" >&2
    return 2
  fi
}

need_active() {
  [ -z "$dry" ] || return 0
  local now
  now=$(state)
  [ "$now" = ACTIVE ] || die "$name is $now, not ACTIVE: $1"
}

nodes() {
  if [ "$slices" = 1 ]; then
    echo "$name"
  else
    seq -f "$name-%.0f" 0 $((slices - 1))
  fi
}

ssh_to() { # NODE WORKER COMMAND
  cloud compute tpus tpu-vm ssh "$1" "${where[@]}" --quiet "--worker=$2" \
    "--command=$3" </dev/null
}

# on_workers WORKER COMMAND: by ssh, on all slices at once.
on_workers() {
  local node pids=() pid failed=0
  if [ "$slices" = 1 ] || [ -n "$dry" ]; then
    for node in $(nodes); do ssh_to "$node" "$@" || return 1; done
    return 0
  fi
  for node in $(nodes); do
    ssh_to "$node" "$@" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  return $failed
}

copy_to_workers() {
  local node
  for node in $(nodes); do
    cloud compute tpus tpu-vm scp "$1" "$node:$2" "${where[@]}" --quiet \
      --worker=all </dev/null || die "nothing could be copied to $node"
  done
}

worker="bash hispatial_jax/tools/tpu_pod/worker.sh"

need_idle() {
  [ -z "$dry" ] || return 0
  local found
  found=$(on_workers all "! [ -e hispatial_jax/tools ] || $worker status" 2>&1) ||
    die "the workers of $name do not answer: $found"
  if grep -q ": running, pid" <<<"$found"; then
    die "a run is going on $name (log, stop): $(grep -m 1 ": running" <<<"$found")"
  fi
}

await() {
  [ -z "$dry" ] || return 0
  local begin=$SECONDS now last="" failed=0
  trap 'echo; echo "$name stays in the queue: wait, status or delete $name"
    exit 130' INT
  while :; do
    if now=$(state 2>"$scratch/why"); then
      failed=0
    elif ((++failed < 5)); then
      now=$last
    else
      die "gcloud failed five times, and $name may be in the queue still:" \
        "$(<"$scratch/why")"
    fi
    [ "$now" = "$last" ] || echo "$name: $now ($((SECONDS - begin)) s)"
    last=$now
    case "$now" in
      ACTIVE) break ;;
      FAILED)
        die "$name FAILED: $(gcloud compute tpus queued-resources describe \
          "$name" "${where[@]}" \
          --format="value(state.failedData.error.message)" 2>&1);" \
          "delete $name, then create it anew"
        ;;
      SUSPEND*) die "$name was taken away ($now): resume $name" ;;
      DELETING | NONE) die "$name is $now: create it anew" ;;
    esac
    sleep "${TPU_POD_POLL:-15}"
  done
  trap - INT
}
