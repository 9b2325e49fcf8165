"""What the compiler says, read: memory, work, a page."""

import pathlib

import pytest

from hispatial_jax.core import chips, hlo
from hispatial_jax.dry_run import assigned, figures, programs, work


def test_what_does_not_fit_is_told_in_bytes():
  message = (
    "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in "
    "memory space hbm. Used 20.09G of 15.75G hbm. Exceeded hbm capacity by "
    "4.35G.\n\nTotal hbm usage >= 20.34G:\n    reserved 258.00M\n"
  )
  line = figures.out_of_memory(message)
  assert "20.09G of a chip's 15.75G" in line
  assert "\n" not in line
  assert figures.out_of_memory("other\nlines") == "other"


_ASSIGNMENT = """BufferAssignment:
allocation 1: size 268435456, parameter 0, shape |f32[26,2,2304,576]|:
 value: <7 param.48 @0> (size=268435456,offset=0): f32[26,2,2304,576]{3,2,1,0}
allocation 416: size 2686566912, preallocated-temp:
 value: <9 fusion.1 @0> (size=8388608,offset=512): bf16[26,4,1151]{2,1,0:T(8)}
 value: <8 dot.2{0} @0> (size=552075264,offset=9000000): bf16[5,2304]{1,0}
 value: <6 copy.3 @0> (size=552075264,offset=9000000): bf16[5,2304]{1,0}
 value: <5 add.4 @0> (size=552075264,offset=9000000): f32[4,1152]{1,0}
 value: <4 while.5{1} (phi) @0> (size=4096,offset=700000): bf16[8,256]{1,0}
 value: <3 dus.6 @0> (size=4096,offset=700000): bf16[8,256]{1,0}
 value: <2 dot.7 @0> (size=2048,offset=800000): f32[4,128]{1,0}
 value: <1 copy.8 @0> (size=1024,offset=900000): bf16[4,128]{1,0}
allocation 420: size 117440512, color 1, preallocated-temp:
 value: <1 copy.1 @1> (size=117440512,offset=0): bf16[999]{0:S(1)}

Total bytes used: 4661207116 (4.34GiB)
"""
_PROGRAM = """HloModule m
  %fusion.1 = bf16[26,4,1151]{2,1,0} fusion(%a), metadata={op_name="jit(u)/\
jvp(Model.pre_logits)/llm/while/body/mlp/dot_general"}
  %dus.6 = bf16[8,256]{1,0} fusion(%b), metadata={op_name="jit(u)/transpose\
(jvp(Model.pre_logits))/llm/while/body/dynamic_update_slice"}
  %dot.7 = f32[4,128]{1,0} dot(%c), metadata={op_name="jit(update)/jvp()/BD,\
VD->BV/dot_general"}
  %copy.8 = bf16[4,128]{1,0} copy(%fusion.1)
  ROOT %dot.2 = (bf16[5,2304]{1,0}) dot(%a), metadata={op_name="jit(u)/\
transpose(jvp(Model.pre_logits))/llm/layers/while/body/closed_call/mlp/dot"}
"""
# The largest array, dot.2, comes when what else there was has gone.
_TIMES = """HloLiveRange (max 9):
  InstructionSequence:
    0:fusion.1
  BufferLiveRange:
    fusion.1{}:0-3
    while.5{1}:1-4
    dot.7{}:2-3
    copy.8{}:3-4
    dot.2{0}:5-9
  Live ranges at 3 (peak):
    fusion.1{}: 8388608
"""


def _dump(folder, times, program=_PROGRAM):
  stem = folder / "module_0000.jit_update.after_optimizations"
  pathlib.Path(f"{stem}-buffer-assignment.txt").write_text(_ASSIGNMENT)
  pathlib.Path(f"{stem}.txt").write_text(program)
  pathlib.Path(f"{stem}-live-range.txt").write_text(times)
  return assigned.read(folder)


def test_the_compilers_buffer_assignment(tmp_path):
  assert assigned.read(tmp_path) is None
  held = _dump(tmp_path, "")
  assert held.size == 2686566912  # of HBM alone
  assert held.largest()[:2] == [
    "526 MiB 2 x bf16[5,2304], f32[4,1152]: gradient of llm/layers/mlp/dot",
    "8 MiB bf16[26,4,1151]: llm/mlp/dot_general",
  ]
  assert held.by_kind({2048}) == {}  # no times are known


def test_kinds_of_what_is_held(tmp_path):
  held = _dump(tmp_path, _TIMES)
  assert held.by_kind({8 * 256}) == {
    # The loop's own is named as what it puts there.
    "gradients of weights": {"at_peak": 0, "most": 4096},
    "logits": {"at_peak": 0, "most": 2048},
    # With the copy of it.
    "activations": {"at_peak": 0, "most": 8388608 + 1024},
    "gradients of activations": {"at_peak": 552075264, "most": 552075264},
  }
  weights = held.by_kind({5 * 2304})["gradients of weights"]
  assert weights["at_peak"] == 552075264
  # Of a program without gradients there are activations alone.
  program = _PROGRAM.replace("transpose(jvp", "(").replace("jvp(", "(")
  (tmp_path / "apart").mkdir()
  plain = _dump(tmp_path / "apart", _TIMES, program).by_kind({1})
  assert plain["activations"]["most"] == 552075264
  assert "other" not in plain
  # Without the largest one, the fullest moment is before.
  early = _dump(tmp_path, _TIMES.replace("dot.2{0}:5-9", "dot.2{0}:5-4"))
  assert early.by_kind({8 * 256})["logits"] == {"at_peak": 2048, "most": 2048}


def _cost(**collectives):
  cost = hlo.Cost(flops=197e9, hbm_bytes=819e6)
  for kind, sent in collectives.items():
    cost.collectives[kind.replace("_", "-")] = hlo.Traffic(1, sent)
  return cost


def test_the_links_are_one_resource():
  v5e = chips.CHIPS["v5e"]
  # Each takes 0.6 ms of the links: both together are longer than the rest.
  found = work.read(
    _cost(all_gather=108e6, all_reduce=108e6), {"layers": 160e9}, v5e, 1
  )
  assert found["longest"] == "links"
  assert found["least_step_seconds"] == pytest.approx(1.2e-3)
  assert found["mfu_at_most"] == pytest.approx(160 / 197 / 1.2)
  assert found["advice"].startswith("links: all-gather of 0.11 GB; larger mesh")
  alone = work.read(_cost(all_gather=108e6), {}, v5e, 1)
  assert alone["longest"] in ("compute", "HBM")
  assert "model_flops" not in alone


def test_no_times_of_a_device_nobody_knows():
  found = work.read(_cost(all_gather=1e6), {"layers": 2e9}, None, 2)
  assert "least_seconds" not in found
  assert found["model_flops"] == 1e9


def test_rows_of_a_recipe():
  drawn = {"pp": "decode|draw_qa(8, plain=True)|tokenize(36)"}
  assert programs.text_rows(drawn) == (36, 8)
  parts = {"a": {"pp": "wild_qa(1)|tokenize(12)"}, "b": {"pp": "tokenize(8)"}}
  assert programs.text_rows({"mixture": parts}) == (12, 1)
  with pytest.raises(ValueError, match=r"no tokenize\(length\)"):
    programs.text_rows({"pp": "decode"})


def test_devices_say_what_they_are():
  assert chips.of_device("TPU v5 lite") is chips.CHIPS["v5e"]
  assert chips.of_device("cpu") is None
