"""Costs of a program's text: loops, batch axes of convolutions, slices."""

import jax
import jax.numpy as jnp
import pytest

from hispatial_jax.core import chips, hlo

# A loop that takes two shards a turn, from 0 to 8, as the TPU compiler unrolls
# products that overlap with the shards' travel.
_LOOP = """HloModule m, is_scheduled=true

%fused (p0: bf16[26,8,16], p1: s32[]) -> bf16[8,16] {
  %p0 = bf16[26,8,16]{2,1,0} parameter(0)
  %p1 = s32[] parameter(1)
  %zero = s32[] constant(0)
  %cut = bf16[1,8,16]{2,1,0} dynamic-slice(%p0, %p1, %zero, %zero), \
dynamic_slice_sizes={1,8,16}
  ROOT %flat = bf16[8,16]{1,0} bitcast(%cut)
}

%body (t: (s32[], bf16[26,8,16])) -> (s32[], bf16[26,8,16]) {
  %t = (s32[]{:T(128)}, bf16[26,8,16]{2,1,0:T(8,128)(2,1)}) parameter(0)
  %at = s32[]{:T(128)} get-tuple-element(%t), index=0
  %all = bf16[26,8,16]{2,1,0:T(8,128)(2,1)} get-tuple-element(%t), index=1
  %step = s32[]{:T(128)} constant(2)
  %one = bf16[8,16]{1,0:T(8,128)(2,1)S(1)} fusion(%all, %at), kind=kLoop, \
calls=%fused
  %moved = bf16[8,16]{1,0} collective-permute(%one), source_target_pairs={{0,1}}
  %product = f32[8,8]{1,0} dot(%one, %moved), lhs_contracting_dims={1}, \
rhs_contracting_dims={1}
  %next = s32[]{:T(128)} add(%at, %step)
  ROOT %out = (s32[]{:T(128)}, bf16[26,8,16]{2,1,0:T(8,128)(2,1)}) \
tuple(%next, %all)
}

%condition (c: (s32[], bf16[26,8,16])) -> pred[] {
  %limit = s32[]{:T(128)} constant(8)
  %c = (s32[]{:T(128)}, bf16[26,8,16]{2,1,0:T(8,128)(2,1)}) parameter(0)
  %now = s32[]{:T(128)} get-tuple-element(%c), index=0
  ROOT %less = pred[]{:T(512)} compare(%now, %limit), direction=LT
}

ENTRY %main (x: bf16[26,8,16]) -> bf16[26,8,16] {
  %x = bf16[26,8,16]{2,1,0:T(8,128)(2,1)} parameter(0)
  %start = s32[]{:T(128)} constant(0)
  %copied = s32[]{:T(128)} copy(%start)
  %state = (s32[]{:T(128)}, bf16[26,8,16]{2,1,0:T(8,128)(2,1)}) \
tuple(%copied, %x)
  %loop = (s32[]{:T(128)}, bf16[26,8,16]{2,1,0:T(8,128)(2,1)}) \
while(%state), condition=%condition, body=%body
  ROOT %done = bf16[26,8,16]{2,1,0} get-tuple-element(%loop), index=1
}
"""
_BATCHED = """HloModule m

ENTRY %main (a: bf16[64,1024,72], b: bf16[64,1024,144]) -> bf16[64,72,144] {
  %a = bf16[64,1024,72]{2,1,0} parameter(0)
  %b = bf16[64,1024,144]{2,1,0} parameter(1)
  ROOT %c = bf16[64,72,144]{2,1,0} convolution(%a, %b), \
window={size=64 stride=63 lhs_dilate=64}, dim_labels=0fb_0io->0bf
}
"""
_GATHER = """HloModule m

ENTRY %main (a: bf16[8,16]) -> bf16[128,16] {
  %a = bf16[8,16]{1,0} parameter(0)
  ROOT %g = bf16[128,16]{1,0} all-gather(%a), \
replica_groups=mesh['x'=1,'y'=16] {'y'}, dimensions={0}
}
"""


def test_a_loop_counts_as_often_as_it_runs():
  found = hlo.cost(_LOOP)
  turns = 8 // 2
  assert found.flops == turns * 2 * 8 * 8 * 16
  assert found.collectives["collective-permute"].count == turns
  assert found.collectives["collective-permute"].bytes == turns * 2 * 8 * 16
  # Of the 26 layers a turn reads one; its copy on the chip is no HBM traffic.
  slices, index, product, counter = 2 * 8 * 16, 4, 4 * 8 * 8, 4
  moved = (slices + index) + slices + (slices + product) + 3 * counter
  copied = 2 * counter
  assert found.hbm_bytes == turns * moved + copied
  assert found.bytes == turns * (moved + 3 * slices) + copied


def test_a_loop_of_unknown_length():
  text = _LOOP.replace("constant(8)", "parameter(1)")
  with pytest.raises(ValueError, match="expected a condition"):
    hlo.cost(text)
  assert hlo.cost(text, unknown_trips=5).flops == 5 * 2 * 8 * 8 * 16


def test_batch_axes_of_a_convolution_count_once():
  assert hlo.cost(_BATCHED).flops == 64 * 2 * 72 * 144 * 1024


@pytest.mark.parametrize(
  "groups",
  [
    "mesh['x'=1,'y'=16] {'y'}",
    "mesh['x'=4,'y'=2,'z'=4], device_ids=([2,16]T(1,0)) {'x','z'}",
    "[2,16]<=[32]",
    "{{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15},{16}}",
  ],
)
def test_a_gather_sends_to_the_others_of_its_group(groups):
  text = _GATHER.replace("mesh['x'=1,'y'=16] {'y'}", groups)
  assert hlo.cost(text).collectives["all-gather"].bytes == 15 * 2 * 8 * 16


def test_devices_that_cannot_be_read():
  text = _GATHER.replace("mesh['x'=1,'y'=16] {'y'}", "all_of_them")
  with pytest.raises(ValueError, match="cannot read replica_groups=all_of"):
    hlo.cost(text)


def test_what_is_no_program():
  with pytest.raises(ValueError, match="no ENTRY"):
    hlo.cost("HloModule m")


def test_a_compiled_scan():
  weights = jax.ShapeDtypeStruct((7, 32, 32), jnp.float32)
  x = jax.ShapeDtypeStruct((5, 32), jnp.float32)

  @jax.jit
  def run(x, weights):
    return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, weights)[0]

  compiled = run.lower(x, weights).compile()
  assert hlo.cost(compiled.as_text()).flops == 7 * 2 * 5 * 32 * 32
  assert compiled.cost_analysis()["flops"] < 3 * 2 * 5 * 32 * 32


def test_topologies():
  assert chips.read("v5e:4x4") == (chips.CHIPS["v5e"], 16)
  assert chips.read("v5p:2x2x1")[1] == 4
  bounds = {"chips_per_host_bounds": (1, 1, 1)}
  assert chips.host_bounds("v5e:1x1") == bounds
  assert chips.host_bounds("v5p:1x1x1") == bounds
  assert chips.host_bounds("v6e:2x2") == chips.host_bounds("v5e:4x4") == {}
  for wrong in ("v5e", "v5e:4", "v5e:4x4x4", "v5p:4x4", "v5e:0x4"):
    with pytest.raises(ValueError, match=r"expected v5\w:AxB"):
      chips.read(wrong)
  with pytest.raises(ValueError, match="did you mean v5"):
    chips.read("v5:4x4")


def test_least_seconds():
  chip = chips.CHIPS["v5e"]
  found = chips.least_seconds(
    chip,
    flops=197e12,
    hbm_bytes=819e9,
    collectives={"all-gather": 180e9, "collective-permute": 90e9},
  )
  for name in ("compute", "HBM", "all-gather", "collective-permute"):
    assert found[name] == pytest.approx(1.0)
