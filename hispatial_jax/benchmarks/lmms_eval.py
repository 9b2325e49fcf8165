"""lmms-eval's own verdicts, to stand beside ours.

Restated from its behaviour, odd corners included.

Source: EvolvingLMMs-Lab/lmms-eval@75571cf, lmms_eval/tasks/{cv_bench,
embspatial,3dsrbench,robo_spatial,pope,seedbench,realworldqa}/utils.py and
_task_utils/mcq_extract.py.
"""

import re

_FIRST = re.compile(r"[(\s]*([A-Z])", re.IGNORECASE)
_3DSR = [
  r"^([A-D])[.\s)]",
  r"^([A-D])$",
  r"[Aa]nswer[:\s]+([A-D])",
  r"[TtMm](?:he|y) answer is[:\s]+([A-D])",
  r"\(([A-D])\)",
  r"([A-D])\.",
  r"\b([A-D])\b",
]
_BEFORE = {
  "answer": (
    "",
    "the ",
    "the correct ",
    "correct ",
    "the best ",
    "best ",
    "my ",
  ),
  "option": ("the correct ", "correct ", "the best ", "best "),
  "choice": ("", "the ", "the correct ", "correct ", "my "),
}
_LEADS = [
  *(f"{head}{noun} is" for noun, heads in _BEFORE.items() for head in heads),
  *("i choose", "i select", "i pick"),
]


def first_letter(text: str) -> str:
  """The first letter of the text, of whatever word; "" if it has none."""
  match = _FIRST.match(text.strip())
  return match[1].upper() if match else ""


def first_character(text: str) -> str:
  """The first character, lower-cased."""
  return text.strip()[:1].lower()


def letter_3dsr(text: str) -> str | None:
  """The letter by the first of its patterns that matches."""
  for pattern in _3DSR:
    match = re.search(pattern, text.strip())
    if match:
      return match[1]
  return None


def _unthought(text: str) -> str:
  """What follows a thought, or stands in an answer tag."""
  text = re.sub(r"^.*?</think>", "", text, flags=re.DOTALL)
  text = re.sub(r"^.*?</thought>", "", text, flags=re.DOTALL)
  match = re.search(r"(?is)<answer>(.*?)</answer>", text)
  return (match[1] if match else text).strip()


def yes_no_last_line(text: str, truth: str) -> int:
  """1 when the last line holds the truth's letters and not the other's."""
  line = _unthought(text).lower().split("\n")[-1]
  wanted, other = ("yes", "no") if truth == "yes" else ("no", "yes")
  return int(wanted in line and other not in line)


def best_letter(text: str, letters: str = "ABCD") -> str:
  """The candidate of the most trusted format, the last of several; or ""."""
  if not text.strip():
    return ""
  bare = text.strip()
  for mark in ",.!?;:'\"":
    bare = bare.strip(mark)
  padded, core = f" {bare} ", bare.strip()
  found = []
  for letter in letters:
    for rank, form in (
      (6, f"({letter})"),
      (5, f"{letter}."),
      (4, f"{letter}:"),
      (3, f"{letter})"),
      (2, f"{letter} "),
    ):
      found.append((rank, padded.rfind(form), letter))
    for lead in _LEADS:
      at = padded.lower().find(lead)
      if at >= 0:
        found.append((7, padded.find(letter, at + len(lead)), letter))
    if core.startswith(letter) and not core[1:2].isalpha():
      found.append((10, 0, letter))
    if core.endswith(letter) and not core[-2:-1].isalpha():
      found.append((9, len(padded) - 1, letter))
  found = [hit for hit in found if hit[1] >= 0] or [
    (0, padded.rfind(letter), letter) for letter in letters if letter in padded
  ]
  # The first of equals, as a stable sort leaves them.
  return max(found, key=lambda hit: hit[:2])[2] if found else ""


def open_or_letter(text: str, truth: str) -> int:
  """RealWorldQA: the letter where the truth is one, else the exact text."""
  if truth.upper() in ("A", "B", "C", "D"):
    return int(best_letter(text) == truth.upper())
  return int(text.lower().strip().rstrip(".") == truth.lower())
