"""What every benchmark is: the types that evaluation relies on.

A benchmark is one module of this room, found by `registry.get`, with

  NAME        its name on the command line
  SPLITS      names of its splits in file order; () when it has one
  PROMPTS     names of its prompt variants, the default first
  RULES       names of the 0/1 rules a score holds, ours first
  CUTS        names of the entries of Example.category to tabulate by
  CONSTANT_BY the entry that sets what one constant answer is for; "" for all
  FILES       patterns of the data files, for a digest of the data
  HUB         where to get them
  PUBLISHED   figures of others to print beside ours, tuple[Published, ...]

  load(path, splits=None) -> list[Example]
      from a folder (as the hub lays it out, or its cache), a tar or one file
  parse(example, text) -> Parse
      our own reading; `value` None is unparsed, an outcome of its own
  hit(example, value) -> int
      0/1 of a read value under our rule
  score(example, text) -> dict
      the verdict of every rule, JSON-able. Always there: declared (what was
      read; None = unparsed), why, parsed, error, correct (0/1, ours). A rule
      that does not judge the item gives None.
  aggregate(examples, scores) -> dict
      figures under every rule, 0..1; None for the mean of nothing
  headlines(examples, scores) -> list[Headline]
      the figures to print with 95 % intervals, the most important first
  candidates(examples) -> list
      values that a constant answer could take; `constants.best` tries them

`examples` and `scores` are parallel lists. Nothing ever leaves a denominator
of our rules: an example with an `error` scores 0 and is listed.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from hispatial_jax.benchmarks import quantities

Parse = quantities.Parse
IMAGE = "<image>"


@dataclasses.dataclass(frozen=True)
class Depth:
  """Measured depth of an example's picture.

  Attributes:
    depth_m: f32[h,w] metres, at the depth map's own resolution; 0 = unknown.
    intrinsics: f64[3,3] in pixels of that resolution, or None where the data
      has none.
    half_pixel: whether rays go through pixel centres (+0.5). The published
      scripts use integer pixel indices: False.
  """

  depth_m: Any
  intrinsics: Any
  half_pixel: bool = False


@dataclasses.dataclass(frozen=True)
class Box:
  """A rectangle that the prompt speaks of; `boxes.draw` paints it.

  Attributes:
    rgb: its colour.
    xyxy: left, top, right, bottom in pixels of the picture.
  """

  rgb: tuple[int, int, int]
  xyxy: tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Example:
  """One question.

  Attributes:
    key: unique in the benchmark, stable between runs.
    group: examples of one group stand or fall together: rotations of one
      question, questions of one picture. The unit of resampling.
    prompts: text by variant, see PROMPTS; `base.prompt` picks one.
    truth: JSON-able, in the form that `parse` returns.
    image: loads the encoded picture (JPEG, PNG, WEBP). Raises ReadError,
      with the key, when it can't be read.
    question: without options and instructions.
    options: (letter, text) pairs; () for open questions.
    category: cuts by name: split, task, category, source, level, ...
    boxes: to draw on the picture AFTER its point map was computed.
    depth: loads the measured depth, or None.
    error: why this example cannot be asked; it scores 0. Who finds out later
      (a picture that does not decode) uses `failed`.
    data: what only the benchmark's own scoring needs.
  """

  key: str
  group: str
  prompts: Mapping[str, str]
  truth: Any
  image: Callable[[], bytes]
  question: str = ""
  options: tuple[tuple[str, str], ...] = ()
  category: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  boxes: tuple[Box, ...] = ()
  depth: Callable[[], Depth] | None = None
  error: str = ""
  data: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class ReadError(ValueError):
  """A picture or depth map of a benchmark can't be read."""


class DataError(ValueError):
  """A benchmark's files are missing or not as expected."""


@dataclasses.dataclass(frozen=True)
class Published:
  """A figure of others, in percent, and how it came about.

  Attributes:
    figure: name of the Headline it stands beside.
    protocol: what is known of inputs, parser and mean.
    source: where the figure was read.
  """

  figure: str
  model: str
  percent: float
  protocol: str
  source: str


@dataclasses.dataclass(frozen=True)
class Headline:
  """One figure and what it is made of.

  Attributes:
    name: shown; PUBLISHED refers to it.
    rule: the rule it counts under.
    units: (stratum, group, numerator, denominator) per counted thing.
    weights: share of each stratum; {} means all strata alike.
  """

  name: str
  rule: str
  units: tuple[tuple[str, str, float, float], ...]
  weights: Mapping[str, float] = dataclasses.field(default_factory=dict)


class Benchmark(Protocol):
  """The shape of a benchmark module; see this module's first lines."""

  NAME: str
  SPLITS: tuple[str, ...]
  PROMPTS: tuple[str, ...]
  RULES: tuple[str, ...]
  CUTS: tuple[str, ...]
  CONSTANT_BY: str
  FILES: tuple[str, ...]
  HUB: str
  PUBLISHED: tuple[Published, ...]

  def load(self, path, splits=None) -> list[Example]: ...
  def parse(self, example: Example, text: str) -> Parse: ...
  def hit(self, example: Example, value: Any) -> int: ...
  def score(self, example: Example, text: str) -> dict: ...
  def aggregate(self, examples: list[Example], scores: list[dict]) -> dict: ...
  def headlines(
    self, examples: list[Example], scores: list[dict]
  ) -> list[Headline]: ...
  def candidates(self, examples: list[Example]) -> list: ...


def prompt(example: Example, variant: str | None = None) -> str:
  """The text to ask under a variant; the default is the first."""
  if variant is None:
    return next(iter(example.prompts.values()))
  if variant not in example.prompts:
    raise ValueError(
      f"prompt variant {variant!r} is unknown here; expected one of "
      f"{', '.join(example.prompts)}"
    )
  return example.prompts[variant]


def sent(text: str) -> str:
  """The text as HiSpatial's predictor passes it to its processor.

  `<image>` goes in front only where the text has none. What follows it stays:
  a SpatialRGPT prompt keeps its newline, so that its tokens are image tokens,
  BOS, newline, question, newline, and those of all others image tokens, BOS,
  question, newline.
  """
  return text if IMAGE in text else IMAGE + text


def question_tokens(text: str) -> str:
  """What stands between BOS and the closing newline: `sent` less `<image>`."""
  return sent(text).replace(IMAGE, "")


def limit(examples: list[Example], count: int) -> list[Example]:
  """The first `count` examples, and what their groups lack: groups whole."""
  groups = {example.group for example in examples[:count]}
  return [example for example in examples if example.group in groups]


def failed(example: Example, why: str) -> Example:
  """The example marked as one that can't be asked."""
  return dataclasses.replace(example, error=why)


def verdict(example: Example, parse: Parse, correct: int, **rules) -> dict:
  """A score: our reading and verdict, then those of other rules."""
  return {
    "declared": parse.value,
    "why": parse.why,
    "parsed": parse.parsed,
    "error": example.error,
    "correct": 0 if example.error else int(correct),
    **rules,
  }
