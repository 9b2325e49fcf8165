"""A Hugging Face model that reads pictures and words, by transformers.

    model = huggingface.open("google/paligemma2-3b-mix-448", batch_size=8)

PaliGemma gets its prompt bare, as HiSpatial's scripts send it; every other
model by its chat template, or, where it has none, with its image token in
front. Greedy. Weights come from safetensors files alone, which execute
nothing; a folder is never looked up on the hub. Points can't be shown.
"""

import pathlib
from typing import Any

import numpy as np

from hispatial_jax.benchmarks import base
from hispatial_jax.core import remote
from hispatial_jax.evaluation import models
from hispatial_jax.precompute import plan

_WEIGHTS = "*.safetensors"


class HuggingFace:
  """Asks in batches, filled up at the left.

  Attributes:
    batch_size: questions of a batch.
  """

  def __init__(
    self,
    model,
    processor,
    facts: dict[str, Any],
    *,
    batch_size: int = 8,
    max_new_tokens: int = 100,
  ):
    """`facts` name the weights; see `open` for the rest."""
    self._model, self._processor = model, processor
    self._processor.tokenizer.padding_side = "left"
    if self._processor.tokenizer.pad_token is None:
      self._processor.tokenizer.pad_token = processor.tokenizer.eos_token
    self._facts, self._most = facts, max_new_tokens
    self.batch_size = batch_size
    self._bare = model.config.model_type == "paligemma"

  def describe(self) -> dict[str, Any]:
    """Weights, dtype and decoding."""
    import transformers

    template = "bare"
    if not self._bare:
      template = "chat" if self._processor.chat_template else "image token"
    return {
      "kind": "huggingface",
      **self._facts,
      "class": type(self._model).__name__,
      "dtype": str(self._model.dtype).removeprefix("torch."),
      "template": template,
      "decoding": "greedy",
      "max_new_tokens": self._most,
      "transformers": transformers.__version__,
    }

  def answer(self, requests: list[models.Request]) -> list[models.Answer]:
    """As many answers, in the order of the requests."""
    out = []
    for start in range(0, len(requests), self.batch_size):
      out += self._batch(requests[start : start + self.batch_size])
    return out

  def prompt(self, text: str) -> str:
    """What the processor gets for a prompt of ours."""
    if self._bare:
      return base.sent(text)
    text = text.replace(base.IMAGE, "").strip()
    if self._processor.chat_template:
      content = [{"type": "image"}, {"type": "text", "text": text}]
      return self._processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
      )
    return getattr(self._processor, "image_token", base.IMAGE) + text

  def _batch(self, requests) -> list[models.Answer]:
    import torch
    from PIL import Image

    inputs = self._processor(
      text=[self.prompt(r.text) for r in requests],
      images=[[Image.fromarray(r.image)] for r in requests],
      padding=True,
      return_tensors="pt",
    ).to(self._model.device, dtype=self._model.dtype)
    surest = _Surest()
    with torch.inference_mode():
      whole = self._model.generate(
        **inputs,
        do_sample=False,
        num_beams=1,
        max_new_tokens=self._most,
        pad_token_id=self._processor.tokenizer.pad_token_id,
        logits_processor=[surest],
      )
    new = whole[:, inputs["input_ids"].shape[1] :].cpu().numpy()
    texts = self._processor.batch_decode(new, skip_special_tokens=True)
    logp = torch.stack(surest.steps, 1).double().cpu().numpy()
    ends = np.isin(new, self._ends())
    return [_answer(*row) for row in zip(texts, logp, ends, strict=True)]

  def _ends(self) -> list[int]:
    found = self._model.generation_config.eos_token_id
    if found is None:
      found = self._processor.tokenizer.eos_token_id
    return found if isinstance(found, list) else [found]


class _Surest:
  """A logits processor that changes nothing: it notes, at each step, the
  log-probability of the likeliest token, which greedy decoding takes."""

  def __init__(self):
    self.steps = []

  def __call__(self, input_ids, scores):
    self.steps.append(scores.float().log_softmax(-1).amax(-1))
    return scores


def _answer(text: str, logp: np.ndarray, ends: np.ndarray) -> models.Answer:
  """Of one row: what comes after the first end doesn't count."""
  ended = bool(ends.any())
  tokens = int(ends.argmax()) + 1 if ended else len(ends)
  return models.Answer(text, float(logp[:tokens].sum()), tokens, ended)


def open(
  name: str,
  *,
  batch_size: int = 8,
  max_new_tokens: int = 100,
  dtype: str = "auto",
  device: str | None = None,
  **more,
) -> HuggingFace:
  """Loads a model.

  Args:
    name: a folder as `save_pretrained` writes it, or an id on the hub.
    batch_size: questions of a batch.
    max_new_tokens: longest answer.
    dtype: "auto" is that of the files; "bfloat16", "float32", ...
    device: of torch; default a GPU where there is one.

  Raises:
    ImportError: transformers, torch or pillow is missing.
    FileNotFoundError: a folder without safetensors.
    ValueError: no such model, one that doesn't read pictures, or one whose
      files don't hold all its weights; or an option that doesn't exist.
  """
  if more:
    raise ValueError(f"a Hugging Face model has no option {', '.join(more)}")
  try:
    import PIL  # noqa: F401
    import torch
    import transformers  # noqa: F401
  except ImportError as error:
    raise ImportError(
      "a Hugging Face model needs transformers, torch and pillow: pip install "
      "'transformers>=4.56,<5' torch pillow"
    ) from error
  local = remote.fetch(name).expanduser()
  if local.is_dir() and not any(local.glob(_WEIGHTS)):
    raise FileNotFoundError(
      f"{local} holds no {_WEIGHTS}; other weights (.bin, .pt) are pickles "
      "and are not read"
    )
  device = device or ("cuda" if torch.cuda.is_available() else "cpu")
  at, only = str(local) if local.is_dir() else name, local.is_dir()
  model, processor = _load(at, only, dtype)
  facts = _facts(at, only, model)
  return HuggingFace(
    model.to(device).eval(),
    processor,
    facts,
    batch_size=batch_size,
    max_new_tokens=max_new_tokens,
  )


def _load(at: str, only: bool, dtype: str):
  """(model, processor); `only`: of a folder, without looking at the hub."""
  import safetensors
  import transformers

  same = {"local_files_only": only, "trust_remote_code": False}
  try:
    model, found = transformers.AutoModelForImageTextToText.from_pretrained(
      at, dtype=dtype, use_safetensors=True, output_loading_info=True, **same
    )
    processor = transformers.AutoProcessor.from_pretrained(at, **same)
  except (
    OSError,
    ValueError,
    KeyError,
    RuntimeError,
    safetensors.SafetensorError,
  ) as error:
    said = " ".join(str(error).split())[:300]
    raise ValueError(f"hf:{at} can't be loaded: {said}") from error
  if found["missing_keys"]:
    names = sorted(found["missing_keys"])
    raise ValueError(
      f"hf:{at} lacks {len(names)} weights, which would be random: "
      f"{', '.join(names[:5])}{', ...' if names[5:] else ''}"
    )
  return model, processor


def _facts(name: str, local: bool, model) -> dict[str, Any]:
  """Where the weights are from, such that other weights say another."""
  if not local:
    return {"name": name, "revision": getattr(model.config, "_commit_hash", "")}
  path = pathlib.Path(name)
  files = sorted(path.glob(_WEIGHTS))
  sums = [f"{file.name} {plan.checksum(file)}" for file in files]
  return {"name": path.resolve().name, "sha256": sums}
