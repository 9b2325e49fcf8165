# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by tools/tpu_pod.sh, whose variables it reads: where and what a pod is.

# What create was told, for the verbs that follow.
saved() {
  [ "$verb" = create ] || sed -n "s/^$1=//p" "$memory.pod" 2>/dev/null || true
}

remember() {
  mkdir -p "$(dirname "$memory")"
  printf '%s\n' "type=$type" "slices=$slices" "spot=$spot" \
    "runtime=$runtime" "project=$project" "zone=$zone" >"$memory.pod"
  printf '%s\0' "$@" >"$memory.flags"
}

# setting KEY PROPERTY: as a flag says, as it was created, as gcloud says.
setting() {
  local value=${opt[--$1]:-$(saved "$1")}
  if [ -z "$value" ] && [ -z "$dry" ]; then
    value=$(gcloud config get-value "$2" 2>/dev/null || true)
  fi
  [ -n "$value" ] || die "no $1: give --$1, or: gcloud config set $2 ..."
  echo "$value"
}

check_type() {
  local size=${type#*-} by_chips="^(1|4|8|16|32|64|128|256)$" ok=""
  case "$type" in
    v5litepod-*) chips=$size default_runtime=v2-alpha-tpuv5-lite ;;
    v6e-*) chips=$size default_runtime=v2-alpha-tpuv6e ;;
    v5p-*) chips=cores default_runtime=v2-alpha-tpuv5 ;;
    v4-*) chips=cores default_runtime=tpu-ubuntu2204-base ;;
    *) chips=unknown ;;
  esac
  if [[ $chips == "$size" && $size =~ $by_chips ]]; then
    ok=1
  elif [[ $chips == cores && $size =~ ^[1-9][0-9]{0,4}$ ]]; then
    chips=$((size / 2)) # two TensorCores a chip, four chips a machine
    [ $((size % 8)) != 0 ] || ok=1
  fi
  [ -n "$ok" ] || die "unknown --type '$type': expected v5litepod-N or v6e-N" \
    "(N = 1, 4, 8, ... 256), v5p-N or v4-N (N a multiple of 8)"
  [[ $slices =~ ^[1-9][0-9]*$ ]] || die "--slices $slices: expected 1 or more"
}
