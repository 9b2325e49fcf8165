"""The reference's reading of a shard, for tools/bench_input.py.

HISPATIAL_DIR names a checkout of microsoft/HiSpatial, UTILS3D_DIR one of
utils3d at the commit that it asks for, where that is not installed.
"""

import functools
import os
import pathlib
import sys
import warnings

_TOKENS, _LENGTH = 1024, 1500


def read(shard: str, tokenizer: str, size: int, batch: int) -> int:
  """Reads a shard to batches, as the reference's training does.

  Args:
    shard: a wild tar.
    tokenizer: a .model file of SentencePiece.
    size: pixels of a side.
    batch: samples of a batch.

  Returns:
    How many samples gave pixel_values, xyz_values, input_ids and labels.

  Raises:
    ModuleNotFoundError, FileNotFoundError: what is missing, and how to get it.
  """
  module, count, samples = _module(), 0, []
  collate = module.VQACollateFn(0, max_length=_LENGTH)
  pipeline = module.build_vqa_wds_pipeline(
    [shard], map_processor=_transform(tokenizer, size)
  )
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for sample in pipeline:
      if sample is not None:
        count += 1
        samples.append(sample)
      if len(samples) == batch:
        collate(samples)
        samples = []
  return count


def _module():
  for name in ("HISPATIAL_DIR", "UTILS3D_DIR"):
    folder = os.environ.get(name)
    if folder and not pathlib.Path(folder).is_dir():
      raise FileNotFoundError(f"{name}={folder} is no folder")
    if folder and folder not in sys.path:
      sys.path.insert(0, folder)
  try:
    from hispatial.data import vqa_dataset
  except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
      f"the reference needs {error.name}: see tools/requirements-upstream.txt"
    ) from None
  return vqa_dataset


@functools.cache
def _transform(tokenizer: str, size: int):
  import torch
  import transformers

  # One core, as ours beside it.
  torch.set_num_threads(1)
  transformers.logging.set_verbosity_error()
  words = transformers.GemmaTokenizer(vocab_file=tokenizer, pad_token="<pad>")
  pictures = transformers.SiglipImageProcessor(
    size={"height": size, "width": size}
  )
  pictures.image_seq_length = _TOKENS
  processor = transformers.PaliGemmaProcessor(pictures, words)
  module = _module()
  return module.safe_processor_wrapper(
    module.WildSampleTransform(processor, size), name="wild"
  )
