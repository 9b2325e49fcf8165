"""What multiple-choice benchmarks share: prompts, reading, verdict."""

from hispatial_jax.benchmarks import answers, base, quantities, vlmevalkit

LETTERS = "ABCDEFGHIJ"


def plain_prompt(question: str, options) -> str:
  """HiSpatial's: the question, then a line `A. option` each."""
  return "\n".join([question, *(f"{a}. {said}" for a, said in options)])


def column_options(row: dict, columns: str = "ABCD"):
  """(letter, text) of the option columns that are not empty."""
  pairs = [(c, row.get(c, "").strip()) for c in columns]
  return tuple((letter, text) for letter, text in pairs if text)


def letter_truth(answer: str, options, key: str) -> str:
  """The truth's letter.

  Raises:
    DataError: it is no option.
  """
  letter = answer.strip().strip("()").strip()
  if letter not in [a for a, _ in options]:
    raise base.DataError(
      f"{key}: answer {answer!r} is none of the options "
      f"{', '.join(a for a, _ in options) or '(there are none)'}"
    )
  return letter


def parse(example: base.Example, text: str) -> base.Parse:
  """The letter an answer chooses."""
  found = answers.choice(text, list(example.options))
  if not found.parsed:
    return found
  return quantities.Parse(example.options[found.value][0], found.why)


def hit(example: base.Example, value) -> int:
  """Whether a letter is the right one."""
  return int(value == example.truth)


def score(example: base.Example, text: str, **rules) -> dict:
  """A score: our verdict, then those of other rules (0 after an error)."""
  found = parse(example, text)
  correct = hit(example, found.value)
  if example.error:
    rules = {n: None if v is None else 0 for n, v in rules.items()}
  out = base.verdict(example, found, correct)
  return {**out, "robust": out["correct"], **rules}


def candidates(examples) -> list[str]:
  """Every letter that is an option somewhere."""
  return sorted({a for example in examples for a, _ in example.options})


def prompts(question: str, options, hint: str = "") -> dict[str, str]:
  """VLMEvalKit's prompt, and one in the style of HiSpatial's own scripts for
  sets whose prompt it did not publish."""
  plain = plain_prompt(f"{hint}\n{question}" if hint else question, options)
  return {
    "vlmevalkit": vlmevalkit.choice_prompt(question, options, hint),
    "hispatial_style": plain,
  }
