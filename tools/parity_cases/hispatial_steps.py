"""Kind `hispatial`, what takes several steps: generation and training."""

import functools
import re

import jax.numpy as jnp
import numpy as np
import optax

from hispatial_jax.core import freeze, optim, tree
from hispatial_jax.models import decode as decode_lib
from hispatial_jax.models import hispatial as hispatial_model
from hispatial_jax.models import masks
from parity_cases import decode, hispatial_case

_GENERATE, _TRAIN = "generate.npz", "train.npz"
_CLIP, _DECAY = 1.0, 0.1
_FROZEN = r"img/(?!head/).*"
# A weight whose gradient is almost zero moves by a fraction of the learning
# rate (FORMAT.md, "Tolerances": about 0.1 of it; two float32 programs differ by
# twice that), and the loss follows: three steps of 1e-2 from parameters rounded
# differently in the last bit end 0.003 apart.
_WEIGHT_PER_LR = 0.2
_LOSS_PER_LR = 0.5


def generation(case) -> None:
  """Greedy answers, one example at a time, with and without softcap."""
  loose = {**case.config["llm"], "attn_softcap": None}
  uncapped = hispatial_model.Model(**{**case.config, "llm": loose})
  for key in case.fixture.names(_GENERATE):
    if match := re.fullmatch(r"(gen[^/]*)/(\d+)/token_ids", key):
      group, example = match[1], int(match[2])
      deviating = group.endswith("no_softcap")
      model = uncapped if deviating else case.model
      _one_answer(case, model, f"{group}/{example}", example)


def _prompt(case, example):
  """One prompt, padded to the longest so that all share their programs."""
  get = functools.partial(case.fixture.get, _GENERATE)
  names = case.fixture.names(_GENERATE, "gen/")
  prompts = [n for n in names if n.endswith("/input_ids")]
  longest = max(get(name).shape[0] for name in prompts)
  ids = get(f"gen/{example}/input_ids")
  text = np.pad(ids, (0, longest - len(ids)))[None, case.P :]
  real = (np.arange(longest) < len(ids))[None, case.P :]
  return {
    "image": case.batch["image"][example : example + 1],
    "points": case.batch["points"][example : example + 1],
    "text": text,
    "mask_ar": (~real).astype(np.int32),
    "mask_input": real.astype(np.int32),
  }


def _one_answer(case, model, prefix, example):
  get = functools.partial(case.fixture.get, _GENERATE)
  known = case.fixture.names(_GENERATE, f"{prefix}/")
  params, prompt = tree.unflatten(case.params), _prompt(case, example)
  want = get(f"{prefix}/token_ids")
  answer = decode_lib.generate(
    model, params, prompt, max_new_tokens=len(want), eos_id=-1
  )
  check = case.report.compare
  check(f"{prefix}/token_ids", answer["tokens"][0], want)
  logits, _, _ = decode.cached(model, params, prompt, len(want))
  # The library's cache corrupts the last allowed step (FORMAT.md, 2).
  cached = get(f"{prefix}/step_logits")
  check(f"{prefix}/step_logits[:-1]", logits[0, :-1], cached[:-1])
  clean = f"{prefix}/step_logits_without_cache"
  if clean in known:
    check(f"{clean} (ours cached)", logits[0], get(clean))
    ours = decode.uncached(model, params, prompt, want[None])
    check(f"{clean} (ours uncached)", ours[0], get(clean))
  positions = f"{prefix}/position_ids"
  if positions in known:
    length = int(prompt["mask_input"].sum()) + len(want) - 1
    full = jnp.ones((1, length), bool)
    check(positions, masks.positions(case.P, full)[0] + 1, get(positions))


def training(case) -> None:
  """Runs of AdamW; the learning rate and the decay stand in a run's name."""
  names = case.fixture.names(_TRAIN, "train/")
  for run_name in sorted({name.split("/")[1] for name in names}):
    number, _, flags = run_name.removeprefix("lr").partition("_")
    decay = 0.0 if "no_decay" in flags else _DECAY
    _train(case, f"train/{run_name}", float(number), decay)


def _train(case, prefix, lr, decay):
  get = functools.partial(case.fixture.get, _TRAIN)
  start = tree.unflatten(case.params)
  train, frozen = freeze.split(start, tree.masks(start, _FROZEN))
  tx = optim.adamw(
    lr, weight_decay=decay, decay_mask=optim.decayed(train), clip=_CLIP
  )
  state, norms, losses = tx.init(train), [], []
  before = hispatial_case.to_theirs(case.params)
  wanted = get(f"{prefix}/grad_norm_before_clip")
  for number in range(1, len(wanted) + 1):
    loss, grads = _gradients(case, train, frozen)
    norms.append(optim.global_norm(grads))
    losses.append(loss)
    updates, state = tx.update(grads, state, train)
    train = optax.apply_updates(train, updates)
    after = tree.flatten(freeze.join(train, frozen))
    after = hispatial_case.to_theirs(after)
    _updates(case, prefix, number, lr, before, after)
  losses.append(_gradients(case, train, frozen)[0])
  for name in (f"{prefix}/losses", f"{prefix}/losses_float64_run"):
    case.report.compare(name, losses, get(name), atol=_LOSS_PER_LR * lr)
  case.report.compare(
    f"{prefix}/grad_norm_before_clip",
    norms,
    wanted,
    atol=hispatial_case.NORM_RTOL * np.max(wanted),
  )


def _gradients(case, train, frozen):
  params = freeze.join(train, frozen)
  loss, grads = hispatial_case.loss_and_gradients(
    case.model, params, case.batch
  )
  return loss, freeze.split(grads, tree.masks(grads, _FROZEN))[0]


def _updates(case, prefix, number, lr, before, after):
  """Values and lengths of the updates after one step."""
  get = functools.partial(case.fixture.get, _TRAIN)
  folder = f"{prefix}/step{number}/"
  for name in case.fixture.names(_TRAIN, folder):
    tensor = name.removeprefix(folder)
    noise = get(f"{prefix}/fp32_noise_step{number}/{tensor}")
    atol = max(2 * float(noise), _WEIGHT_PER_LR * lr)
    got = hispatial_case.part(after, tensor)
    case.report.compare(name, got, get(name), atol=atol)
  folder = f"{prefix}/update_norm_step{number}/"
  for name in case.fixture.names(_TRAIN, folder):
    tensor = name.removeprefix(folder)
    moved = after[tensor].astype(np.float64) - before[tensor]
    atol = hispatial_case.NORM_RTOL * float(get(name))
    case.report.compare(name, np.linalg.norm(moved), get(name), atol=atol)
