"""Beam's inference with the model: apart, as its import alone takes seconds."""

from collections.abc import Iterable, Sequence

from apache_beam.ml.inference import base

from hispatial_jax.precompute import maker as maker_lib
from hispatial_jax.precompute import plan, work


def infer(maker: maker_lib.Maker, load):
  """A PTransform: jobs -> (job, Shard).

  Args:
    maker: pickled and sent to the workers.
    load: gives the model; likewise.
  """
  return base.RunInference(PointMaps(maker, load).with_no_batching())


class PointMaps(base.ModelHandler):
  """RunInference's handler: a shard's job in, (job, Shard) out."""

  def __init__(self, maker: maker_lib.Maker, load):
    super().__init__()
    self._maker, self._load = maker, load

  def load_model(self) -> "Model":
    """Loads the model, once in a worker."""
    with self._maker.teller():
      return Model(self._load())

  def run_inference(
    self, batch: Sequence[plan.Job], model: "Model", inference_args=None
  ) -> Iterable[tuple[plan.Job, work.Shard | None]]:
    """Makes the shards of the jobs; None for one that is finished already."""
    for job in batch:
      yield job, self._maker.make(job, model.eyes)


class Model:
  """The model in a class of its own, as Beam keeps a weak reference to it."""

  def __init__(self, eyes):
    self.eyes = eyes
