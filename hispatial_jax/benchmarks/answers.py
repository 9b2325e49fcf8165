"""Choices, yes/no and words, read from a model's own words.

The companion of `quantities`: the same `Parse`, the same promise that a text
without one clear reading stays unparsed and says why. Nothing is matched
inside a word: the "no" of "notice" and the "B" of "Because" are not answers.
"""

import re

from hispatial_jax.benchmarks import numerals, quantities

Parse = quantities.Parse
strip = quantities.strip

_LABEL = r"[A-Za-z]|\d{1,2}|[IVX]{1,4}|[ivx]{1,4}"
_OPTION = re.compile(rf"^\s*(?:\(({_LABEL})\)[.:]?|({_LABEL})[.):])\s+(\S.*)$")
_YES = ("yes", "yeah", "yep", "true", "correct", "indeed")
_NO = ("no", "nope", "false", "incorrect")
_POLAR = re.compile(rf"\b({'|'.join(_YES + _NO)})\b")
_LEAD = re.compile(r"answer(?: is|\s*:)[\s*_:'\"“(]*")
_CONTINUES_A = "or|and|is|are|because|since|as"


def options(question: str) -> list[tuple[str, str]]:
  """(label, text) of the option lines that close a question.

  Labels are taken as printed, without brackets: A, a, 1, I or i.
  """
  found = []
  for line in question.splitlines():
    match = _OPTION.match(line)
    if match:
      found.append((match[1] or match[2], match[3].strip()))
    else:
      found = []
  return found


def _words(text: str) -> str:
  said = (word.rstrip(".") for word in re.findall(r"[\w.]+", text.lower()))
  return " ".join(word for word in said if word)


def _core(text: str) -> str:
  """Words without articles, number words in digits: "Three." is "3"."""
  said = numerals.digits(re.sub(r"(?i)\b(?:the|an?) ", "", text))
  return _words(said)


def _bare(text: str, labels: list[str]) -> int | None:
  """Rule 1: nothing but a label, with or without brackets."""
  match = re.fullmatch(rf"[(\[]?\s*({_LABEL})\s*[)\].:,]*", text)
  return _index(match[1], labels) if match else None


def _index(label: str, labels: list[str]) -> int | None:
  """Position of a label; case counts only where both cases are labels."""
  if label in labels:
    return labels.index(label)
  folded = [known.lower() for known in labels]
  if folded.count(label.lower()) == 1:
    return folded.index(label.lower())
  return None


def _by_text(text: str, choices: list[tuple[str, str]]) -> set[int]:
  """Options whose text occurs as whole words, contained ones dropped."""
  said = f" {_words(text)} "
  hits = {
    i
    for i, (_, t) in enumerate(choices)
    if _words(t) and f" {_words(t)} " in said
  }
  texts = {i: f" {_words(choices[i][1])} " for i in hits}
  return {
    i for i in hits if not any(j != i and texts[i] in texts[j] for j in hits)
  }


def _standing(text: str, labels: list[str]) -> set[int]:
  """Labels that stand alone in a sentence; the article A does not count."""
  found = set()
  for match in re.finditer(rf"(?<![\w'’])({_LABEL})(?![\w'’])", text):
    label = match[1]
    article = label == "A" and re.match(
      rf"\s+(?!(?:{_CONTINUES_A})\b)[a-z]", text[match.end() :]
    )
    if label in labels and not article and not label.islower():
      found.add(labels.index(label))
  return found


def _leading(text: str, choices: list[tuple[str, str]]) -> Parse | None:
  """Rule 2: a label in front, unless another option's text follows."""
  labels = [label for label, _ in choices]
  match = re.match(rf"(?:[(\[]({_LABEL})[)\]][.:]?|({_LABEL})[.):])\s*", text)
  index = _index(match[1] or match[2], labels) if match else None
  if index is None:
    return None
  rest = _words(text[match.end() :])
  other = [i for i, (_, t) in enumerate(choices) if _words(t) == rest != ""]
  if other and index not in other:
    return Parse(None, "label and text disagree")
  return Parse(index, "leading label")


def choice(text: str, choices: list[tuple[str, str]]) -> Parse:
  """Index of the chosen option; the first rule that applies decides.

  Args:
    text: the model's answer.
    choices: (label, text) pairs as `options` reads them.
  """
  text, labels = strip(text), [label for label, _ in choices]
  bare = _bare(text, labels)
  if bare is not None:
    return Parse(bare, "bare label")
  leading = _leading(text, choices)
  if leading:
    return leading
  stated = re.findall(
    rf"(?i:\b(?:answer|option|choice)\b(?:\s+(?:is|would be))?\s*:?)"
    rf"\s*[(\[]?({_LABEL})[)\]]?(?=[.,;:!]|\s*$)",
    text,
  )
  stated = [i for i in (_index(s, labels) for s in stated) if i is not None]
  if stated:
    return Parse(stated[-1], "stated label")
  bracketed = re.findall(rf"[(\[]({_LABEL})[)\]]", text)
  for found, why in (
    ({_index(b, labels) for b in bracketed} - {None}, "bracketed label"),
    (_standing(text, labels), "standing label"),
    (_by_text(text, choices), "option text"),
  ):
    if len(found) == 1:
      return Parse(found.pop(), why)
    if found:
      return Parse(None, f"several options by {why}")
  same = [
    i for i, (_, t) in enumerate(choices) if _core(t) == _core(text) != ""
  ]
  if len(same) == 1:
    return Parse(same[0], "option text but for its article or number word")
  return Parse(None, "no option named" if text else "empty")


def yes_no(text: str) -> Parse:
  """True for yes, False for no."""
  low = strip(text).lower()
  if re.search(r"\byes\s+(?:and|or)\s+no\b|\bno\s+(?:and|or)\s+yes\b", low):
    return Parse(None, "both yes and no")
  first = re.match(r"\W*(\w+)", low)
  if first and first[1] in _YES + _NO:
    return Parse(first[1] in _YES, "first word")
  leads = [m.end() for m in _LEAD.finditer(low)]
  for end in reversed(leads):
    after = _POLAR.match(low, end)
    if after:
      return Parse(after[1] in _YES, "stated answer")
  said = set()
  for match in _POLAR.finditer(low):
    inverted = re.search(r"(?:\bnot|n['’]t|\bnever)\s+$", low[: match.start()])
    said.add((match[1] in _YES) != bool(inverted))
  if len(said) == 1:
    return Parse(said.pop(), "word")
  return Parse(None, "both yes and no" if said else "neither yes nor no")


def letters(texts) -> tuple[tuple[str, str], ...]:
  """(A, text), (B, text), ...: options in the form `choice` takes."""
  return tuple((chr(ord("A") + i), text) for i, text in enumerate(texts))


def names(text: str, things: list[str]) -> set[int]:
  """Which things are named as whole words; one inside another named one is
  not meant."""
  return _by_text(text, [("", thing) for thing in things])


def words(text: str) -> Parse:
  """Lower-case words without punctuation, for answers compared as text."""
  said = re.sub(r"[^\w<>.\s-]", " ", strip(text).lower())
  said = " ".join(w for w in said.split() if w not in ("the", "a", "an"))
  said = said.rstrip(". ")
  return Parse(said, "words") if said else Parse(None, "empty")


def polarity(text: str) -> Parse:
  """The word yes or no, as `yes_no` reads it."""
  found = yes_no(text)
  if not found.parsed:
    return found
  return Parse("yes" if found.value else "no", found.why)
