"""Models and a benchmark for the tests of evaluation/, and slow runs of them.

    python tests/evaluation_fakes.py GOLDEN OUT SECONDS [resume]

asks the miniature of cvbench of a model that takes SECONDS for a question.
"""

import json
import pathlib
import sys
import time

import numpy as np

from hispatial_jax.evaluation import models, run

GOLDEN = pathlib.Path(__file__).parent / "golden" / "benchmarks"


def said(name: str) -> dict[str, str]:
  """Key -> prediction of a miniature."""
  rows = json.loads((GOLDEN / name / "predictions.json").read_text())
  return {row["key"]: row["prediction"] for row in rows}


class Slow:
  """Looks at pictures and says what the miniature's predictions say.

  Attributes:
    asked: keys, as they came.
    seen: key -> (mean of the picture, whether there were points).
  """

  def __init__(self, name: str, seconds: float = 0.0, size: int = 1, fail=()):
    self._said, self._seconds, self._fail = said(name), seconds, set(fail)
    self.batch_size, self.asked, self.seen = size, [], {}

  def describe(self):
    """Nothing that differs between runs."""
    return {"kind": "fake"}

  def answer(self, requests):
    """One after the other."""
    out = []
    for request in requests:
      time.sleep(self._seconds)
      self.asked.append(request.key)
      points = request.depth_m is not None
      self.seen[request.key] = float(np.mean(request.image)), points
      if request.key in self._fail:
        out.append(models.Answer(error="the endpoint said 500"))
        continue
      text = self._said[request.key]
      out.append(models.Answer(text, -0.1 * len(text), len(text), True))
    return out


def main(golden, out, seconds, resume=""):
  """Runs it."""
  task = run.open("cvbench", pathlib.Path(golden) / "cvbench")
  options = run.Options(resume=bool(resume))
  run.evaluate(task, Slow("cvbench", float(seconds)), out, options)


if __name__ == "__main__":
  main(*sys.argv[1:])
