"""The four levels of tasks. Source: the HiSpatial paper, section 3."""

NAMES = {
  0: "geometric perception",
  1: "objects",
  2: "relations",
  3: "abstract reasoning",
}
EXAMPLES = {
  0: "from a pixel to metres",
  1: "size, distance, orientation",
  2: "between two objects",
  3: "other views, counting",
}
