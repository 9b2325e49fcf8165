"""VLMEvalKit's own verdicts, to stand beside ours.

Restated from its behaviour, odd corners included, without a judge: an answer
its matchers cannot place is wrong. Special tokens are not stripped there.

Source: open-compass/VLMEvalKit@e8e78f0, vlmeval/utils/matching_util.py,
vlmeval/dataset/utils/{yorn,multiple_choice}.py,
vlmeval/dataset/utils/spatial_bench/matching_func.py.
"""

import re

_SEPARATORS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_REFUSALS = (
  "Sorry, I can't help with images of people yet.",
  "I can't process this file.",
  "I'm sorry, but without the image provided",
  "Cannot determine the answer",
)
_STATED = re.compile(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**")
_NO_ANSWER = "Z"


def _labelled(text: str, labels: list[str]) -> str | None:
  """A label among the words; the article A counts as one."""
  if "Failed to obtain answer via API" in text:
    return None
  if any(refusal in text for refusal in _REFUSALS):
    return _NO_ANSWER
  words = text.translate(_SEPARATORS).split()
  there = [label for label in labels if label in words]
  if len(there) == 1 and words.index(there[0]) > len(words) - 5:
    return there[0]
  if not there and _NO_ANSWER in words:
    return _NO_ANSWER
  stated = _STATED.search(text)
  if stated and stated[1].upper() in labels:
    return stated[1].upper()
  return None


def option(text: str, options) -> str:
  """The letter it takes an answer for; "Z" is none.

  Args:
    text: the raw answer.
    options: (letter, text) pairs.
  """
  found = _labelled(text, [letter for letter, _ in options])
  if found:
    return found
  low = text.lower()
  if len(low) <= 2 * sum(len(said) for _, said in options):
    inside = [letter for letter, said in options if said.lower() in low]
    if len(inside) == 1:
      return inside[0]
  return _NO_ANSWER


def _without_punctuation(text: str) -> str:
  """As VQA's evaluation does it: a mark beside a blank goes, others part."""
  grouped = re.search(r"\d,\d", text) is not None
  out = text
  for mark in ';/[]"{}()=+\\_-><@`,?!':
    apart = mark + " " in text or " " + mark in text or grouped
    out = out.replace(mark, "" if apart else " ")
  # It passes a flag (32) where a count is expected.
  return re.sub(r"(?<!\d)\.(?!\d)", "", out, count=32)


def yes_no(text: str) -> str:
  """Yes, No or Unknown."""
  words = _without_punctuation(text.lower()).split()
  if ("yes" in words) == ("no" in words):
    return "Unknown"
  return "Yes" if "yes" in words else "No"


_INVISIBLE = re.compile("[\u200b\u200c\u200d\ufeff]")
_BLOCK = re.compile(
  r"<\s*answer\b[^>]*>\s*([A-J])(?:\s*[.:)\]])?.*?<\s*/\s*answer\s*>",
  re.IGNORECASE | re.DOTALL,
)
_BEFORE_CLOSE = [
  re.compile(
    rf"(?<![A-Z])[(\[{{]?\s*([A-F])\s*[)\]}}]?\s*</\s*{tag}\s*>", re.IGNORECASE
  )
  for tag in ("answer", "think")
]
_LISTED = re.compile(r"^[*_>\-\s]*option\s+[A-J]\s*:", re.IGNORECASE)
_ALONE = re.compile(r"\s*[*_`>()\[\]]*\s*([A-Fa-f])\s*[*_`()\[\]]*\s*")
_FIRST = re.compile(r"\s*([A-F])\s*[.:)\]-]\s+", re.IGNORECASE)
_TOKEN = re.compile(
  r"(?<![A-Za-z])[*_`{(\[]*\s*([A-F])\s*[*_`)}\]]*(?=$|[\s.,:;!?)\]])"
)
_PHRASE = re.compile(
  r"(?i)(?:final\s*answer|the\s*answer\s*is|answer(?:\s*is)?|correct\s*answer)"
  r"\s*[:>=]?\s*[(\[{]?\s*([A-F])\s*[)\]}]?(?:\b|[.)])"
)
_ANYWHERE = re.compile(r"(?<![A-Za-z])[(\[{]?\s*([A-F])\s*[)\]}]?(?![A-Za-z])")


def _of_lines(lines: list[str]) -> str | None:
  """From the last of six lines upwards, the first that names one letter."""
  for line in reversed([line.strip() for line in lines[-6:] if line.strip()]):
    if _LISTED.match(line):
      continue
    alone = _ALONE.fullmatch(line) or _FIRST.match(line)
    if alone:
      return alone[1].upper()
    tokens = set(_TOKEN.findall(line))
    if len(tokens) == 1:
      return tokens.pop()
  return None


def spatial_option(text: str) -> str | None:
  """The letter that its spatial benchmarks' matcher takes, for Latin text."""
  text = _INVISIBLE.sub("", text.strip())
  for pattern, where in (
    (_BLOCK, text),
    *((pattern, text[-800:]) for pattern in _BEFORE_CLOSE),
  ):
    match = pattern.search(where)
    if match:
      return match[1].upper()
  after = re.split(r"(?i)</\s*think\s*>", text)
  if len(after) == 1:
    after = re.split(r"(?i)<\s*think\s*>", text)
  found = _of_lines(after[-1].strip().splitlines()) or _of_lines(
    text[-800:].splitlines()
  )
  if found:
    return found
  phrase = _PHRASE.search(text)
  if phrase:
    return phrase[1].upper()
  kept = [line for line in text.splitlines() if not _LISTED.match(line)]
  tokens = set(_ANYWHERE.findall("\n".join(kept)))
  return tokens.pop() if len(tokens) == 1 else None


def choice_prompt(question: str, options, hint: str = "") -> str:
  """Its default multiple-choice prompt; the blank before the end is its."""
  lines = [f"Hint: {hint}"] if hint else []
  lines.append(f"Question: {question}")
  if options:
    lines += ["Options:", *(f"{letter}. {said}" for letter, said in options)]
    lines.append("Please select the correct answer from the options above. ")
  return "\n".join(lines) + "\n"
