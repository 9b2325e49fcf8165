# shellcheck shell=bash
# Sourced by tools/tpu_pod.sh: what each verb says of itself.
usage() {
  case "${1:-}" in
    create) cat <<'HELP' ;;
usage: tpu_pod.sh create NAME --type TYPE [--spot] [--slices N]
                  [--runtime VERSION] [-- FLAGS of gcloud]
Asks for a pod and waits until it is ACTIVE; Ctrl-C leaves it in the queue.
  --type     v5litepod-N and v6e-N (N chips: 1, 4, 8, ... 256), v5p-N and v4-N
             (N TensorCores, two a chip: 8, 16, 32, ...)
  --spot     cheaper, and taken away at any time: `resume` brings it back
  --slices   several such slices as one run (config: mesh.dcn=N)
  --runtime  image of the machines, by default the one of the type
HELP
    wait) echo "usage: tpu_pod.sh wait NAME
Waits until a pod that was asked for is ACTIVE." ;;
    install) cat <<'HELP' ;;
usage: tpu_pod.sh install NAME [--extras LIST] [--allow_dirty]
Copies HEAD of this repository to all workers and installs it there in a venv.
  --extras       of setup.py (tpu,gcs,data,log)
  --allow_dirty  although there are changes that HEAD does not have
HELP
    launch) cat <<'HELP' ;;
usage: tpu_pod.sh launch NAME --config PATH.py[:ARGS] --workdir gs://BUCKET/RUN
                  [--config.KEY=VALUE ...] [--before COMMAND]
                  [-- more FLAGS of train]
Starts the run on all workers; it stays when you log off. WANDB_API_KEY and
HF_TOKEN of this shell's environment reach it through a file.
  --before  runs on all workers first, now and at each `resume`: records to
            copy, a bucket to mount
HELP
    log) cat <<'HELP' ;;
usage: tpu_pod.sh log NAME [-f] [--worker N|all] [--slice N] [--lines N]
The end of a worker's log (worker 0 of slice 0, 100 lines); -f follows it.
HELP
    status) echo "usage: tpu_pod.sh status NAME
The pod's state, and of each worker what runs and its log's last line." ;;
    run) echo "usage: tpu_pod.sh run NAME [--worker N|all] -- COMMAND ...
Runs a shell command on all workers (or one) in the repository's folder." ;;
    stop) echo "usage: tpu_pod.sh stop NAME [--seconds N]
SIGTERM to the run on all workers: it saves and ends; waits N (600) seconds." ;;
    resume) cat <<'HELP' ;;
usage: tpu_pod.sh resume NAME [--type TYPE] [--slices N]
The last launch again, from its newest checkpoint. A pod that was taken away or
deleted is created again as before, or as another --type, and installed.
HELP
    delete) echo "usage: tpu_pod.sh delete NAME [--yes]
Gives the pod back; chips are billed until then. The workdir stays." ;;
    *) cat <<'HELP' ;;
usage: bash tools/tpu_pod.sh VERB NAME [FLAGS]
  create, wait, install, launch, status, log, run, stop, resume, delete
Each VERB has --help. Of all of them:
  --project P, --zone Z   as create was told, or as `gcloud config` says
  --dry_run               print the gcloud commands, run none
docs/pods.md goes from nothing to a trained model.
HELP
  esac
}
