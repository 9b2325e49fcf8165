"""Published figures of SpatialRGPT-Bench; their judges and means differ."""

from hispatial_jax.benchmarks import base, published

_MICRO = "boxes drawn; GPT-4.1 judge; fits the micro mean over 642 lengths"
_MACRO = "macro mean of five categories; masks as region tokens; GPT-4-turbo"
_SIX = "macro mean of six categories, direction included; GPT-4-turbo judge"
_STRING = "boxes drawn; string matching; 1,404 items; mean not said"
_LENGTHS, _ALL = "lengths, micro", "quantitative with direction, macro"
_N3D, _TABLE = "N3D-VLM paper", "SpatialRGPT paper, table 1"
_CATEGORIES = ("width", "height", "direct", "horizontal", "vertical")

FIGURES = (
  base.Published(
    _LENGTHS, "HiSpatial-3B, RGB + MoGe-2", 79.28, _MICRO, published.PAPER
  ),
  base.Published(
    _LENGTHS, "HiSpatial-3B, measured points", 81.46, _MICRO, published.PAPER
  ),
  base.Published(
    _LENGTHS, "HiSpatial-3B, RGB only", 72.43, _MICRO, published.PAPER
  ),
  base.Published(
    _LENGTHS,
    "HiSpatial-3B, re-run",
    79.62,
    "508/638, four items missing",
    "AutoSOTA run report",
  ),
  base.Published(_LENGTHS, "GPT-5", 40.47, "mean not said", published.PAPER),
  base.Published(
    _LENGTHS, "Gemini-2.5-Pro", 26.57, "mean not said", published.PAPER
  ),
  base.Published(
    _LENGTHS, "MM-Spatial-3B", 68.70, "mean not said", published.PAPER
  ),
  base.Published(
    "lengths, macro", "SpatialRGPT-VILA-1.5-8B", 56.22, _MACRO, _TABLE
  ),
  base.Published("lengths, macro", "GPT-4, no image", 33.3, _MACRO, _TABLE),
  base.Published("lengths, macro", "GPT-4V", 41.5, _MACRO, _TABLE),
  base.Published(_ALL, "SpatialRGPT-VILA-1.5-8B", 62.7, _SIX, _TABLE),
  base.Published(_ALL, "VLM³-4B", 58.51, _SIX, "VLM³ paper"),
  base.Published(_ALL, "N3D-VLM-7B", 78.0, _STRING, _N3D),
  base.Published(_ALL, "GPT-4o", 55.8, _STRING, _N3D),
  base.Published("direction", "SpatialRGPT-VILA-1.5-8B", 95.3, _SIX, _TABLE),
  base.Published("direction", "GPT-4, no image", 34.6, _SIX, _TABLE),
  base.Published(
    "qualitative", "HiSpatial-3B", 84.79, "ablation table", published.PAPER
  ),
  base.Published(
    "qualitative", "SpatialRGPT-VILA-1.5-8B", 92.69, "GPT-4 judge", _TABLE
  ),
  base.Published("qualitative", "N3D-VLM-7B", 95.7, "GPT-4o judge", _N3D),
)
