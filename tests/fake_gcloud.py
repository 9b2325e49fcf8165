#!/usr/bin/env -S python3 -S
"""A gcloud for tests: notes its argv, plays a pod's states, obeys ssh and scp.

The folder FAKE_CLOUD holds calls.jsonl (one argv a line), `state` (lines that
`describe` takes from the top, the last stays), and a home folder w0, w1, ... a
worker: `ssh` runs its command there, `scp` copies there. `refuse` holds words;
a call with one of them fails.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

CLOUD = pathlib.Path(os.environ["FAKE_CLOUD"])
WORKERS = 2


def main(argv) -> int:
  """Does what a command line says; returns the exit code."""
  with (CLOUD / "calls.jsonl").open("a") as file:
    file.write(json.dumps(argv) + "\n")
  refuse = CLOUD / "refuse"
  if refuse.exists() and refuse.read_text() in argv:
    print("ERROR: (gcloud) PERMISSION_DENIED: not yours", file=sys.stderr)
    return 1
  if argv[:2] == ["config", "get-value"]:
    print({"project": "", "compute/zone": "zone-of-config"}[argv[2]])
    return 0
  return {
    "describe": describe,
    "create": lambda _: set_state("WAITING_FOR_RESOURCES", "ACTIVE"),
    "delete": lambda _: set_state(),
    "ssh": ssh,
    "scp": scp,
  }[argv[3]](argv)


def set_state(*lines) -> int:
  """The states to play."""
  (CLOUD / "state").write_text("\n".join(lines))
  return 0


def describe(argv) -> int:
  """The next state, or why there is none."""
  if "--format=value(state.failedData.error.message)" in argv:
    print("no quota")
    return 0
  lines = (CLOUD / "state").read_text().split()
  if not lines:
    print(f"ERROR: NOT_FOUND: {argv[4]} was not found", file=sys.stderr)
    return 1
  set_state(*(lines[1:] or lines))
  if lines[0] == "HICCUP":
    print("ERROR: UNAVAILABLE", file=sys.stderr)
    return 1
  print(lines[0])
  return 0


def homes(argv, node) -> list[pathlib.Path]:
  """Of the workers that a call is for."""
  slices = CLOUD / node if (CLOUD / node).is_dir() else CLOUD
  worker = next(a.split("=")[1] for a in argv if a.startswith("--worker="))
  some = range(WORKERS) if worker == "all" else [int(worker)]
  return [slices / f"w{i}" for i in some]


def ssh(argv) -> int:
  """Runs --command in the home of each worker; the worst exit code."""
  command = next(a for a in argv if a.startswith("--command="))
  worst = 0
  for home in homes(argv, argv[4]):
    home.mkdir(parents=True, exist_ok=True)
    env = {"HOME": str(home), "PATH": os.environ["FAKE_PATH"]}
    done = subprocess.run(
      ["bash", "-c", command.removeprefix("--command=")], cwd=home, env=env
    )
    worst = max(worst, done.returncode)
  return worst


def scp(argv) -> int:
  """Copies a file to each worker."""
  source, (node, target) = argv[4], argv[5].split(":")
  for home in homes(argv, node):
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, home / target)
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
