"""What tools/bench_train.py measures on this machine: ours and PyTorch's step.

The PyTorch side is transformers' PaliGemma-2 with HiSpatial's fusion as the
paper describes it: sines and cosines of the points, a patch convolution, a
linear layer whose output is added to the projector's.
"""

import json
import os
import pathlib
import time

import numpy as np

from bench_cases import decode

_RATE, _DECAY, _CLIP = 2e-5, 0.1, 1.0


def write(args, folder: pathlib.Path) -> dict:
  """Random weights and a batch of training; says what they are."""
  cfg = decode.config(args, fused=True)
  counts = decode.write_weights(cfg | {"dtype": "float32"}, folder)
  (folder / "ours.json").write_text(json.dumps(cfg))
  rng = np.random.default_rng(0)
  side, rows = cfg["img"]["image_size"], args.batch
  points = rng.uniform(-3, 3, (rows, side, side, 4)).astype(np.float32)
  points[..., 3] = points[..., 3] > -2
  text = rng.integers(3, cfg["llm"]["vocab_size"], (rows, args.length))
  answer = np.arange(args.length) >= args.length // 2
  np.savez(
    folder / "batch.npz",
    image=rng.uniform(-1, 1, (rows, side, side, 3)).astype(np.float32),
    points=points,
    text=text.astype(np.int32),
    mask_ar=np.broadcast_to(answer, text.shape).astype(np.int32),
    mask_loss=np.broadcast_to(answer, text.shape).astype(np.int32),
  )
  return {"parameters": sum(counts.values()), "image_tokens": (side // 14) ** 2}


def ours(folder: pathlib.Path):
  """fn() -> {"seconds", "loss"}: one update of hispatial_jax.program."""
  import jax

  from configs import common
  from hispatial_jax import program
  from hispatial_jax.core import mesh, step, tree
  from hispatial_jax.weights import source

  model_cfg = json.loads((folder / "ours.json").read_text())
  cfg = common.base()
  cfg.optim.update(
    {"lr": _RATE, "schedule": "constant", "freeze": ("img/(?!head/).*",)}
  )
  cfg.optim.update({"weight_decay": _DECAY, "clip": _CLIP, "warmup_steps": 0})
  named = tree.flatten(source.load(folder / "model")[0])
  named |= dict(np.load(folder / "pointmap.npz"))
  batch = jax.device_put(dict(np.load(folder / "batch.npz")))
  grid = mesh.make(devices=jax.devices()[:1])
  with mesh.use(grid):
    made = program.build(cfg, model_cfg, grid)
    params = jax.device_put(tree.unflatten(named), made.layout["params"])
    state = step.init(params, made.opt)

  def run():
    nonlocal state
    begin = time.perf_counter()
    with mesh.use(grid):
      state, out = made.update(state, batch)
      loss = float(out["loss"])
      jax.block_until_ready(state)
    return _reply(begin, loss, jax.devices()[0].memory_stats())

  return run


def theirs(folder: pathlib.Path):
  """fn() -> {"seconds", "loss"}: one update in PyTorch."""
  import torch

  cfg = json.loads((folder / "ours.json").read_text())
  device = "cuda" if os.environ.get("JAX_PLATFORMS") == "cuda" else "cpu"
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  net = _Net(folder, cfg).to(device)
  batch = {
    name: torch.tensor(x).to(device)
    for name, x in np.load(folder / "batch.npz").items()
  }
  trained = [p for p in net.parameters() if p.requires_grad]
  groups = [
    {"params": [p for p in trained if p.ndim > 1], "weight_decay": _DECAY},
    {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
  ]
  optimizer = torch.optim.AdamW(groups, lr=_RATE, fused=True)
  half = cfg["dtype"] == "bfloat16"

  def run():
    begin = time.perf_counter()
    with torch.autocast(device, torch.bfloat16, half):
      loss = net.loss(batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, _CLIP)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    value, stats = loss.item(), None
    if device == "cuda":
      torch.cuda.synchronize()
      stats = {"peak_bytes_in_use": torch.cuda.max_memory_allocated()}
    return _reply(begin, value, stats)

  return run


def _reply(begin, loss, stats) -> dict:
  reply = {"seconds": time.perf_counter() - begin, "loss": loss}
  peak = (stats or {}).get("peak_bytes_in_use")
  return reply | ({"device_peak": peak} if peak else {})


def _Net(folder, cfg):
  """PaliGemma-2 and the fusion, the vision tower frozen."""
  import torch
  import transformers

  transformers.logging.set_verbosity_error()
  fusion = {
    name: torch.tensor(x)
    for name, x in np.load(folder / "pointmap.npz").items()
  }

  class Net(torch.nn.Module):
    def __init__(self):
      super().__init__()
      self.paligemma = (
        transformers.PaliGemmaForConditionalGeneration.from_pretrained(
          folder / "model", dtype="float32", attn_implementation="eager"
        )
      )
      self.paligemma.model.vision_tower.requires_grad_(False)
      kernel = fusion["pointmap/embedding/kernel"].permute(3, 2, 0, 1)
      width, channels, patch, _ = kernel.shape
      self.conv = torch.nn.Conv2d(channels, width, patch, patch)
      head = fusion["pointmap/head/kernel"].T
      self.head = torch.nn.Linear(width, len(head), bias=False)
      with torch.no_grad():
        self.conv.weight.copy_(kernel)
        self.conv.bias.copy_(fusion["pointmap/embedding/bias"])
        self.head.weight.copy_(head)

    def embed(self, image, points):
      with torch.no_grad():
        tower = self.paligemma.model.vision_tower
        seen = tower(image.permute(0, 3, 1, 2)).last_hidden_state
      tokens = self.paligemma.model.multi_modal_projector(seen)
      there = self.conv(_waves(points, self.conv.in_channels // 6))
      return tokens + self.head(there.flatten(2).transpose(1, 2))

    def loss(self, batch):
      decoder = self.paligemma.model.language_model
      image = self.embed(batch["image"], batch["points"])
      words = decoder.embed_tokens(batch["text"][:, :-1].long())
      # The decoder multiplies all it gets by the root of its width.
      rows = torch.cat([image / image.shape[-1] ** 0.5, words], dim=1)
      count = image.shape[1]
      x = decoder(
        inputs_embeds=rows,
        attention_mask=_mask(count, batch["mask_ar"][:, :-1], rows.dtype),
        position_ids=torch.arange(rows.shape[1], device=rows.device)[None],
        use_cache=False,
      ).last_hidden_state
      logits = self.paligemma.lm_head(x[:, count:]).float()
      cap = cfg["llm"].get("final_softcap", 30.0)
      logits = cap * torch.tanh(logits / cap)
      asked = batch["mask_loss"][:, 1:].bool()
      targets = batch["text"][:, 1:].long()
      return torch.nn.functional.cross_entropy(logits[asked], targets[asked])

  return Net()


def _waves(points, count):
  """[B,S,S,4] -> [B,6F+1,S,S]: sin x, cos x, ..., cos z, validity."""
  import torch

  xyz, valid = points.float().split([3, 1], dim=-1)
  powers = torch.arange(count, device=points.device) / count
  angle_rad = xyz[..., None] * 10_000.0**-powers
  waves = torch.stack([angle_rad.sin(), angle_rad.cos()], dim=-2).flatten(-3)
  return torch.cat([waves, valid], dim=-1).permute(0, 3, 1, 2)


def _mask(count, mask_ar, dtype):
  """Additive [B,1,S,S]: the image and the question see each other."""
  import torch

  block = torch.nn.functional.pad(mask_ar, (count, 0)).cumsum(1)
  sees = block[:, None, None, :] <= block[:, None, :, None]
  return torch.zeros_like(sees, dtype=dtype).masked_fill(
    ~sees, torch.finfo(dtype).min
  )
