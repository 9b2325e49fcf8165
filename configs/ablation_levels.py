"""What a level of questions, or the point map, adds: HiSpatial-3B without it.

    python -m hispatial_jax.train --distributed --workdir gs://BUCKET/NAME \
      --config configs/ablation_levels.py:name=NAME,init=PALIGEMMA,data=DATA

Inter-level ablations; NAME:

    full             all levels: what the others are compared with
    without_0_1      the paper's: perception and objects left out (levels=23)
    without_1_2      the paper's: objects and relations left out (levels=03)
    without_0        levels=123
    without_1        levels=023
    without_2        levels=013
    without_3        levels=012
    without_0_1_2    reasoning alone (levels=3)

Input ablation; NAME:

    points           metric point maps, the same run as full
    relative         the picture and its depth without a unit
    rgb              the picture alone

for example

    ... --workdir runs/without_0_1 --config \
      configs/ablation_levels.py:name=without_0_1,init=PALIGEMMA,data=data
    ... --workdir runs/rgb --config \
      configs/ablation_levels.py:name=rgb,init=PALIGEMMA,data=data,steps=20000

All is hispatial_3b.py's, whose other arguments may follow; general questions
have no level and always stay. How the paper scales relative depth is not said:
ours is the op relative_depth. Expected, as the paper prints it on SpatialRGPT
(qualitative / quantitative, %): rgb 83.70 / 74.16, relative 84.29 / 75.26,
points 84.79 / 82.02.
"""

from configs import common, hispatial_3b

# name -> the arguments of hispatial_3b.py that it stands for.
NAMES = {
  "full": "",
  "without_0_1": "levels=23",
  "without_1_2": "levels=03",
  "without_0": "levels=123",
  "without_1": "levels=023",
  "without_2": "levels=013",
  "without_3": "levels=012",
  "without_0_1_2": "levels=3",
  "points": "input=points",
  "relative": "input=relative",
  "rgb": "input=rgb",
}


def get_config(arg=""):
  """Arguments: name (of NAMES), and those of hispatial_3b.py."""
  own, rest = common.part_arg(arg, name="full")
  same = common.choose(NAMES, own.name, "name")
  return hispatial_3b.get_config(f"{same},{rest}")
