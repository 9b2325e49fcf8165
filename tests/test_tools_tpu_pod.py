"""tools/tpu_pod.sh: gcloud is played, workers are folders."""

import json
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

_ROOT = pathlib.Path(__file__).parent.parent
_SECRET = "wandb-key-0123456789"
# Stands for the worker's python: notes what reaches it, trains until SIGTERM.
_PYTHON = """#!/bin/bash
case "$*" in
  *pip*) echo "$*" >>"$HOME/pip"; exit 0 ;;
  -c*) exit 0 ;;
esac
printf '%s\\0' "$@" >"$HOME/argv"
echo "$WANDB_API_KEY" >"$HOME/key"
trap 'echo "SIGTERM: saved step 7"; exit 0' TERM
echo "step 1"
while :; do sleep 0.1; done
"""
_ARGS = [
  "--config=configs/toy.py:quick=True,root=$HOME/x y",
  "--workdir=gs://b/r",
]


@pytest.fixture(scope="module")
def old(tmp_path_factory):
  """A pod that was created and is gone."""
  played = Pod(tmp_path_factory.mktemp("old"))
  played("create", "old", "--type=v6e-8", "--project=p")
  played.state()
  return played


@pytest.fixture
def pod(tmp_path):
  played = Pod(tmp_path)
  yield played
  played.end()


class Pod:
  """A repository, a cloud of two workers, and the tool run on them."""

  def __init__(self, folder):
    self.repo, self.cloud = folder / "repo", folder / "cloud"
    self.bin, self.memory = folder / "bin", folder / "memory"
    for path in (self.cloud, self.bin):
      path.mkdir(parents=True)
    shutil.copytree(_ROOT / "tools" / "tpu_pod", self.repo / "tools/tpu_pod")
    for name in ("tools/tpu_pod.sh", "tools/venv.sh", "setup.py"):
      shutil.copy(_ROOT / name, self.repo / name)
    (self.repo / "configs").mkdir()
    (self.repo / "configs/toy.py").write_text("")
    run = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for args in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
      subprocess.run([*run, *args], cwd=self.repo, check=True)
    (self.bin / "gcloud").symlink_to(_ROOT / "tests" / "fake_gcloud.py")
    (self.bin / "python3").symlink_to(sys.executable)
    self.state()

  def state(self, *lines):
    (self.cloud / "state").write_text("\n".join(lines))

  def prepare(self, *homes):
    """Workers with a venv, as if installed before."""
    for home in homes or ("w0", "w1"):
      venv = self.cloud / home / "hispatial_jax/.venv/bin"
      venv.mkdir(parents=True)
      (venv / "python").write_text(_PYTHON)
      (venv / "python").chmod(0o755)
      (venv / "activate").write_text(f"PATH={venv}:$PATH\n")

  def __call__(self, *args, code=0, path=None, **env):
    path = path or f"{self.bin}:/usr/bin:/bin"
    done = subprocess.run(
      ["bash", "tools/tpu_pod.sh", *args],
      cwd=self.repo,
      env={
        "PATH": path,
        "HOME": str(self.repo.parent),
        "FAKE_CLOUD": str(self.cloud),
        "FAKE_PATH": f"{self.bin}:/usr/bin:/bin",
        "TPU_POD_HOME": str(self.memory),
        "TPU_POD_POLL": "0.05",
        **env,
      },
      capture_output=True,
      text=True,
      stdin=subprocess.DEVNULL,
      timeout=60,
    )
    text = done.stdout + done.stderr
    assert done.returncode == code, text
    if code:
      assert done.stderr.count("tpu_pod.sh: error:") == 1, text
    return text

  def calls(self, verb=""):
    path = self.cloud / "calls.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    calls = map(json.loads, lines)
    return [c for c in calls if not verb or verb in c[:4]]

  def make(self, *more):
    return self("create", "pod", "--type=v6e-8", "--project=p", *more)

  def read(self, name):
    """A file of each worker, once it is there."""
    for _ in range(100):
      found = [self.cloud / w / name for w in ("w0", "w1")]
      if all(p.exists() and p.read_bytes() for p in found):
        return [p.read_text() for p in found]
      time.sleep(0.05)
    raise AssertionError(f"{name} is not on all workers")

  def end(self):
    for path in self.cloud.rglob("hispatial_run/pid"):
      subprocess.run(["kill", "-9", path.read_text().strip()], check=False)


def test_create_waits_and_says_each_state(pod):
  text = pod.make("--spot", "--", "--network=my net")
  (call,) = pod.calls("create")
  assert call[:3] == ["compute", "tpus", "queued-resources"]
  assert call[4:] == [
    "pod",
    "--project=p",
    "--zone=zone-of-config",
    "--accelerator-type=v6e-8",
    "--runtime-version=v2-alpha-tpuv6e",
    "--node-id=pod",
    "--spot",
    "--async",
    "--quiet",
    "--network=my net",
  ]
  assert text.index("WAITING_FOR_RESOURCES") < text.index("pod: ACTIVE")
  assert "8 chips" in text


def test_slices_are_nodes_of_one_resource(pod):
  pod.prepare("pod-0/w0", "pod-0/w1", "pod-1/w0", "pod-1/w1")
  pod.make("--slices", "2")
  (call,) = pod.calls("create")
  assert {"--node-count=2", "--node-prefix=pod"} <= set(call)
  pod("run", "pod", "--", "touch 'a b'")
  made = sorted(pod.cloud.glob("pod-*/w*/hispatial_jax/a b"))
  assert len(made) == 4


def test_waiting_outlives_a_hiccup_and_ends_with_a_failure(pod):
  pod.make()
  pod.state("HICCUP", "PROVISIONING", "FAILED")
  text = pod("wait", "pod", code=2)
  assert "PROVISIONING" in text
  assert "no quota" in text


def test_an_existing_name_is_refused(pod):
  pod.state("WAITING_FOR_RESOURCES")
  text = pod("create", "pod", "--type=v6e-8", "--project=p", code=2)
  assert "exists already and is WAITING_FOR_RESOURCES" in text
  assert not pod.calls("create")


def test_from_install_to_stop(pod):
  pod.prepare()
  pod.make()
  assert "with [tpu,gcs,data,log]" in pod("install", "pod")
  assert all("-e .[tpu,gcs,data,log]" in x for x in pod.read("pip"))
  pod(
    "launch", "pod", *_ARGS, "--config.a.b=it's; $(x)", "--", "--debug",
    WANDB_API_KEY=_SECRET,
  )  # fmt: skip
  wanted = ["-m", "hispatial_jax.train", "--distributed", *_ARGS]
  wanted += ["--config.a.b=it's; $(x)", "--debug"]
  for argv in pod.read("argv"):
    assert argv.split("\0")[:-1] == wanted
  assert pod.read("key") == [f"{_SECRET}\n"] * 2
  assert "step 1" in pod("log", "pod", "--worker=1")
  assert pod("status", "pod").count("running, pid") == 2
  assert "a run is going on pod" in pod("launch", "pod", *_ARGS, code=2)
  assert "a run is going on pod" in pod("install", "pod", code=2)
  assert pod("stop", "pod").count("stopped; SIGTERM: saved step 7") == 2
  assert pod("status", "pod").count(": idle; ") == 2


def test_secrets_are_in_no_command_line_log_or_file(pod):
  pod.prepare()
  pod.make()
  pod("install", "pod")
  pod("launch", "pod", *_ARGS, WANDB_API_KEY=_SECRET)
  pod.read("key")
  kept = [
    p
    for place in (pod.cloud, pod.memory, pod.repo)
    for p in place.rglob("*")
    if p.is_file() and p.name != "key" and _SECRET in p.read_text("latin-1")
  ]
  assert not kept
  assert not list(pod.cloud.rglob("hispatial_run/secrets"))


def test_a_pod_taken_away_is_brought_back_as_it_was(pod):
  pod.prepare()
  pod.make("--spot", "--", "--network=n")
  pod("install", "pod")
  pod("launch", "pod", *_ARGS, "--before", "date >>~/'my data'")
  pod.read("argv")
  assert "a run is going" in pod("resume", "pod", code=2)
  pod.end()  # as the machines do
  for argv in pod.cloud.rglob("argv"):
    argv.unlink()
  pod.state("SUSPENDED")
  pod("resume", "pod")
  assert [x.count("\n") for x in pod.read("my data")] == [2, 2]
  first, second = pod.calls("create")
  assert first == second
  assert len(pod.calls("delete")) == 1
  for argv in pod.read("argv"):
    assert argv.split("\0")[3:-1] == _ARGS


def test_a_run_goes_on_with_another_type(pod):
  pod.prepare()
  pod.make()
  pod("install", "pod")
  pod("launch", "pod", *_ARGS)
  pod.read("argv")
  pod("stop", "pod")
  text = pod("resume", "pod", "--type=v5p-16", code=2)
  assert "delete it first" in text
  pod("delete", "pod", "--yes")
  pod("resume", "pod", "--type=v5p-16")
  call = pod.calls("create")[-1]
  assert "--accelerator-type=v5p-16" in call
  assert "--runtime-version=v2-alpha-tpuv5" in call
  assert pod("status", "pod").count("running, pid") == 2


def test_delete_says_what_is_billed_and_asks(pod):
  pod.make()
  text = pod("delete", "pod", code=2)
  assert "1 x v6e-8, 8 chips; billed until it is deleted" in text
  assert not pod.calls("delete")
  pod("delete", "pod", "--yes")
  assert "--force" in pod.calls("delete")[0]
  assert "there is no pod" in pod("delete", "pod", "--yes", code=2)


def test_changes_that_are_not_committed_are_not_left_out_in_silence(pod):
  pod.prepare()
  pod.make()
  (pod.repo / "configs/new.py").write_text("")
  assert "not committed" in pod("install", "pod", code=2)
  pod("install", "pod", "--allow_dirty")
  assert not list(pod.cloud.rglob("new.py"))


@pytest.mark.parametrize(
  ("args", "said"),
  [
    (["create", "pod", "--type=v6e-8"], "no project: give --project"),
    (["create", "pod", "--type=v9-8", "--project=p"], "expected v5litepod-N"),
    (["create", "pod", "--type=v5p-12", "--project=p"], "a multiple of 8"),
    (["create", "pod", "--project=p"], "no --type"),
    (["create", "pod", "--size=3"], "create takes no --size"),
    (["create", "Pod;ls"], "expected a NAME"),
    (["destroy", "pod"], "unknown verb 'destroy'"),
    (["launch", "old", "--workdir=gs://b/r"], "needs --config"),
    (["launch", "old", "--config=configs/no.py"], "no file configs/no.py"),
    (
      ["launch", "old", "--config=configs/toy.py", "--workdir=/tmp/r"],
      "expected gs://BUCKET/RUN",
    ),
    (["launch", "old", *_ARGS], "is NONE, not ACTIVE"),
    (["resume", "old"], "no launch of old is known"),
    (["log", "old", "--slice=3"], "old has 1"),
    (["status", "old", "--zone"], "--zone needs a value"),
  ],
)
def test_bad_input_is_one_line(old, args, said):
  assert said in old(*args, code=2)


def test_without_gcloud(pod):
  bare = pod.bin.parent / "bare"
  bare.mkdir()
  for name in ("bash", "dirname", "sed"):
    (bare / name).symlink_to(shutil.which(name))
  assert "gcloud is not installed" in pod(
    "status", "pod", code=2, path=str(bare)
  )


def test_dry_run_prints_and_runs_nothing(pod):
  args = ["--dry_run", "--project=p", "--zone=z"]
  text = pod("create", "pod", "--type=v6e-8", *args)
  assert "+ gcloud compute tpus queued-resources create pod" in text
  pod.make()
  before = len(pod.calls())
  text = pod("launch", "pod", *_ARGS, *args, WANDB_API_KEY=_SECRET)
  assert "--worker=all" in text
  assert _SECRET not in text
  assert len(pod.calls()) == before


def test_what_gcloud_says_is_shown(pod):
  pod.make()
  (pod.cloud / "refuse").write_text("describe")
  assert "PERMISSION_DENIED: not yours" in pod("status", "pod", code=2)


def test_each_verb_has_help(old):
  verbs = "create wait install launch status log run stop resume delete"
  for verb in verbs.split():
    assert old(verb, "--help").startswith(f"usage: tpu_pod.sh {verb} NAME")
  assert verbs.replace(" ", ", ") in old("--help")


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck")
def test_shellcheck():
  files = ["tools/tpu_pod.sh", "tools/tpu_pod/worker.sh"]
  subprocess.run(["shellcheck", "-x", *files], cwd=_ROOT, check=True)
