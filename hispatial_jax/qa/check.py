"""Re-derives a question's answer from its text alone, by brute force.

The text is read back into its slots with the phrase bank turned round; names
are looked up in the annotations; reanswer.py and oracle.py answer. The evidence
in `meta` is then compared with what the text named, never used to find the
answer. Meant for exact annotations, kind "gt".
"""

import functools
import re

from hispatial_jax.qa import oracle, phrases, reanswer, say

_OPTION = re.compile(r"^(\([A-Za-z\d]+\)|[A-Za-z\d]+)\. (.+)$")
_REQUEST = " Answer with Yes or No."
_WORDS = r"[^?.,:;]+?"
_SLOTS = {"p": reanswer.LOCATION, "q": reanswer.LOCATION, "n": r"\d+"}
_SLOTS["where"] = "|".join(reanswer.PREDICATES)
_SLOTS |= dict.fromkeys(("word", "place", "best"), "|".join(reanswer.WORDS))
_SLOTS |= {"side": "|".join(reanswer.SIDES), "less": "smaller|larger"}
_SLOTS |= {"to": "to|from", "nth": "first|second", "are": "is|are"}


def rederive(record, qa) -> tuple[bool, str]:
  """Whether a question's answer follows from the record.

  Args:
    record: as in data/records.py: objects, depth_m, intrinsics.
    qa: a generate.QA or the dict of one.

  Returns:
    (True, "") or (False, why).
  """
  qa = qa if isinstance(qa, dict) else qa.as_dict()
  world = oracle.World(record)
  body, labels, options = _split(qa["question"], qa["format"])
  names = {
    f"{article}{t.note.get(key)}".lower()
    for article, key in (("the ", "name"), ("", "cat"), ("", "cat_plural"))
    for t in world.things
  }
  readings = list(_readings(qa["task"], qa["format"], body, names))
  wrong = "" if readings else "no phrase of the bank reads like this"
  for kind, slots in readings:
    try:
      wrong = wrong or _judge(world, qa, kind, slots, labels, options)
    except oracle.Unsure as doubt:
      wrong = str(doubt)
  if wrong:
    return False, f"{wrong}; {qa['question']!r} -> {qa['answer']!r}"
  return True, ""


def _split(question: str, form: str):
  """(question without options and request, labels, option texts)."""
  if form == "yes_no":
    return question.removesuffix(_REQUEST), [], []
  body, *lines = question.split("\n")
  found = [_OPTION.match(line) for line in lines]
  if not all(found):
    return question, [], []
  return body, [m[1] for m in found], [m[2] for m in found]


@functools.cache
def _patterns(task: str, form: str):
  """[(kind, compiled phrase)] of a task's phrases of one format."""
  found = []
  for key in phrases.BANK:
    kind, _, of = key.partition("/")
    if of == form and kind.split(".")[0] == task:
      for question, _ in say.bank(key):
        found.append((kind, re.compile(_pattern(question), re.IGNORECASE)))
  return found


def _pattern(phrase: str) -> str:
  """Regular expression of a phrase; a slot met twice holds the same twice."""
  seen: set[str] = set()
  parts = re.split(r"\{(\w+)\}", phrase)
  for k in range(0, len(parts), 2):
    parts[k] = re.escape(parts[k])
  for k in range(1, len(parts), 2):
    slot = parts[k]
    inside = _SLOTS.get(slot, _WORDS)
    parts[k] = f"(?P={slot})" if slot in seen else f"(?P<{slot}>{inside})"
    seen.add(slot)
  return "".join(parts)


def _readings(task: str, form: str, body: str, names: set[str]):
  """Every (kind, slots) under which a phrase gives this text."""
  for kind, pattern in _patterns(task, form):
    match = pattern.fullmatch(body)
    if match:
      slots = {k: v.lower() for k, v in match.groupdict().items()}
      things = ("a", "b", "k", "c", "c_plural")
      if all(slots[k] in names for k in things if k in slots):
        yield kind, slots


def _judge(world, qa, kind, slots, labels, options) -> str:
  """What is wrong with the answer, "" if nothing."""
  answer, form = qa["answer"], qa["format"]
  oids = {world.find(slots[k]).note["oid"] for k in "kab" if k in slots}
  if not oids <= set(qa["meta"]["ids"]):
    return f"meta names {qa['meta']['ids']}, the text {oids}"
  truth = reanswer.TASKS[qa["task"]](world, form, kind, slots, options)
  if form == "yes_no":
    said = {"Yes": True, "No": False}.get(answer)
    return "" if said is truth else f"expected {truth}"
  if form == "text":
    return "" if truth(answer) else f"not accepted, read as {kind} {slots}"
  if len(set(options)) != len(options) or answer not in labels:
    return "options or label out of form"
  marks = dict(zip(labels, map(truth, options), strict=True))
  right = [label for label, mark in marks.items() if mark]
  return "" if right == [answer] else f"right options are {right}"
