"""A benchmark from its files to metrics.json: ask, score, show.

    task = run.open("cvbench", "data/cvbench")
    run.evaluate(task, model, out, run.Options(points="measured"))
    run.score(task, out)                      # later, without a model

OUT/ gets run.json, answers/, predictions.jsonl, metrics.json and, where the
report can be made, report.html; OUT/blind/ is the same of a blind run, which
the scores of OUT are then shown beside.
"""

import dataclasses
import hashlib
import importlib
import importlib.util
import json
import pathlib
import shutil
from typing import Any

from hispatial_jax.benchmarks import base, files, registry
from hispatial_jax.core import mirror
from hispatial_jax.evaluation import ask, journal, judge
from hispatial_jax.evaluation import points as points_lib
from hispatial_jax.evaluation import score as score_lib
from hispatial_jax.evaluators import examples as seen

BLIND = "blind"
_PAGE = "hispatial_jax.report.benchmark_page"


@dataclasses.dataclass(frozen=True)
class Task:
  """A benchmark and its questions.

  Attributes:
    bench: its module.
    examples: all of them, or those of `limit`.
    data: {"sha256", "prompts", "questions"} of the whole; prompts is a digest
      of all texts that may be sent.
  """

  bench: base.Benchmark
  examples: list[base.Example]
  data: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Options:
  """How a benchmark is asked.

  Attributes:
    prompt: variant; None for the default.
    points: see points.Points.
    cache: folder for estimated points; None: OUT/points.
    resume: go on with answers that are there.
    overwrite: forget them.
    shard: (i, n), 1 <= i <= n: only this part of the questions, unscored.
  """

  prompt: str | None = None
  points: str = "measured"
  cache: str | None = None
  resume: bool = False
  overwrite: bool = False
  shard: tuple[int, int] | None = None


def open(name: str, data, limit: int | None = None) -> Task:
  """Reads a benchmark's files.

  Raises:
    ValueError, OSError: unknown name, or files that aren't as expected.
  """
  bench = registry.get(name)
  examples = bench.load(data)
  facts = {
    "sha256": files.at(data).digest(*bench.FILES),
    "prompts": _digest(examples),
    "questions": len(examples),
  }
  if limit is not None:
    if limit < 1:
      raise ValueError(f"--limit {limit}: expected 1 or more")
    examples = base.limit(examples, limit)
  return Task(bench, examples, facts)


def _digest(examples) -> str:
  text = json.dumps([[e.key, dict(e.prompts)] for e in examples])
  return hashlib.sha256(text.encode()).hexdigest()


def evaluate(task: Task, model, out, options: Options) -> dict | None:
  """Asks what is missing and scores; None in shards and other processes.

  Raises:
    ValueError: answers are there already, or of other settings.
    ask.Interrupted, journal.NoSpace: --resume continues.
  """
  out = pathlib.Path(out)
  us = ask.Processes(model)
  mine = _share(task.examples, options.shard)
  prompt = options.prompt or next(iter(mine[0].prompts))
  base.prompt(mine[0], prompt)  # an unknown variant is found here
  looks = getattr(model, "needs_pictures", True)
  maps = points_lib.Points(
    options.points if looks else "none", options.cache or out / "points"
  )
  settings = {
    "benchmark": task.bench.NAME,
    "prompt": prompt,
    "points": maps.describe() if looks else None,
    "model": model.describe(),
    "data": task.data,
  }
  part = "" if not options.shard else "{}of{}-".format(*options.shard)
  book = journal.Journal(out, f"{part}p{us.index}")
  with us.agree(f"begin in {out}"):
    if us.index == 0:
      book.begin(settings, overwrite=options.overwrite)
      _check_left(book, mine, options)
      mirror.sync(out)
  if us.index:
    mirror.sync(out)
    book.begin(settings)
  missing = [e for e in mine if e.key not in book.read()]
  if us.first(bool(missing or options.resume)):
    maps.prepare(mine)
    ask.ask(mine, model, book, maps, prompt=prompt)
  mirror.sync(out)
  us.first(None)
  if us.index or options.shard:
    return None
  mirror.sync(out)  # what the others answered
  return score(task, out)


def _check_left(book, examples, options: Options) -> None:
  """Raises ValueError where only --resume may go on."""
  there = book.read()
  done = sum(e.key in there for e in examples)
  if done and done < len(examples) and not options.resume:
    raise ValueError(
      f"{book.out} holds {done} of {len(examples)} answers: --resume continues,"
      " --overwrite asks all again"
    )


def _share(examples, shard):
  """Every n-th group, from the i-th on."""
  if shard is None:
    return examples
  number, count = shard
  groups = {
    g: i for i, g in enumerate(dict.fromkeys(e.group for e in examples))
  }
  some = [e for e in examples if groups[e.group] % count == number - 1]
  if not some:
    raise ValueError(f"--shard {number}/{count}: no question is left for it")
  return some


def merge(folders, out, *, overwrite: bool = False) -> None:
  """Copies the answers of other folders of the same run into OUT.

  Raises:
    ValueError: one of them holds no run, or one of other settings.
  """
  out = pathlib.Path(out)
  if overwrite and (out / journal.ANSWERS).exists():
    shutil.rmtree(out / journal.ANSWERS)
    (out / journal.SETTINGS).unlink(missing_ok=True)
  for number, folder in enumerate(map(pathlib.Path, folders)):
    settings = journal.Journal(folder).settings()
    if settings is None:
      raise ValueError(f"{folder} holds no run: no {journal.SETTINGS}")
    book = journal.Journal(out)
    book.begin(settings)
    for path in sorted((folder / journal.ANSWERS).glob("*.jsonl")):
      target = out / journal.ANSWERS / f"from{number}-{path.name}"
      if folder.resolve() != out.resolve():
        shutil.copyfile(path, target)


def score(task: Task, out) -> dict[str, Any]:
  """Scores the journal of a folder and writes all files; needs no model.

  Raises:
    ValueError: no run there, of another benchmark or data, or not complete.
  """
  out = pathlib.Path(out)
  settings, rows = _rows(task, out)
  blind = None
  if (out / BLIND / journal.SETTINGS).exists():
    blind = _blind(task, out / BLIND, settings)
  metrics = score_lib.metrics(task.bench, task.examples, rows, settings, blind)
  opinion = judge.stored(out, judge.items(task.examples, rows), rows)
  if opinion:
    metrics["judge"] = opinion
  score_lib.write(out, rows, metrics)
  if importlib.util.find_spec(_PAGE):
    page = importlib.import_module(_PAGE)
    by_key = {example.key: example for example in task.examples}
    page.write(
      out / "report.html", rows, metrics, lambda key: _picture(by_key.get(key))
    )
  return metrics


def ask_judge(task: Task, out, chat) -> dict[str, Any]:
  """Has the answers in a folder judged, and scores it again.

  Args:
    task: of the run.
    out: its folder, which keeps the verdicts.
    chat: of `judge.connect`.

  Raises:
    ValueError: as `score`; client.Stopped: what was judged is kept.
  """
  out = pathlib.Path(out)
  _, rows = _rows(task, out)
  judge.Judge(chat, out).verdicts(judge.items(task.examples, rows))
  return score(task, out)


def _rows(task: Task, out):
  book = journal.Journal(out)
  settings = book.settings()
  if settings is None:
    raise ValueError(f"{out} holds no run: no {journal.SETTINGS}")
  wanted = {"benchmark": task.bench.NAME, "data": task.data}
  there = {key: settings[key] for key in wanted}
  if there != wanted:
    wrong = "; ".join(journal.differences(wanted, there))
    raise ValueError(f"{out} holds answers to other questions: {wrong}")
  answers = book.read()
  missing = [e.key for e in task.examples if e.key not in answers]
  if missing:
    raise ValueError(
      f"{out}: {len(missing)} of {len(task.examples)} questions have no answer"
      f" yet ({', '.join(missing[:5])}{', ...' if missing[5:] else ''}): "
      "--resume asks them, or give the --limit or the other shards of the run"
    )
  del settings["fingerprint"]
  prompt = settings["prompt"]
  return settings, score_lib.rows(task.bench, task.examples, answers, prompt)


def _blind(task, out, settings) -> dict[str, Any] | None:
  """The blind run beside a run; None where it is of other questions."""
  try:
    blind, rows = _rows(task, out)
  except ValueError:
    return None
  if blind["prompt"] != settings["prompt"]:
    return None
  return score_lib.blind_part(task.bench, task.examples, rows, blind)


def _picture(example):
  try:
    return seen.picture(example) if example else None
  except (ValueError, OSError):
    return None
