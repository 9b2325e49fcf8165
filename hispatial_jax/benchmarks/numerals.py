"""Number words written in digits: "one and a half metres" -> "1.5 metres"."""

import re

ONES = re.findall(
  r"\w+",
  "zero one two three four five six seven eight nine ten eleven twelve "
  "thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
)
_TENS = re.findall(
  r"\w+", "twenty thirty forty fifty sixty seventy eighty ninety"
)
_WORDS = {word: i for i, word in enumerate(ONES)} | {
  word: 10 * (i + 2) for i, word in enumerate(_TENS)
}
_TEN, _ONE = "|".join(_TENS), "|".join(ONES[1:10])
_UNITS = r"met(?:er|re)|centi|milli|kilo|inch|foot|feet|yard|[ckm]?m\b"
_GLYPHS = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}


def _hundreds(match: re.Match) -> str:
  count = match[1] if match[1].isdigit() else "1"
  return str(100 * int(count) + int(match[2] or 0))


def digits(text: str) -> str:
  """Lower-cased text with number words and fraction glyphs in digits."""
  text = text.lower()
  for glyph, plain in _GLYPHS.items():
    text = re.sub(rf"(?<=\d){glyph}", f" {plain}", text).replace(glyph, plain)
  text = re.sub(
    rf"\b({_TEN})[- ]({_ONE})\b",
    lambda m: str(_WORDS[m[1]] + _WORDS[m[2]]),
    text,
  )
  # "the one", "which one" point at a thing and count nothing.
  text = re.sub(
    rf"(?<!\bthe )(?<!\bwhich )(?<!\bthis )(?<!\bthat )"
    rf"\b({'|'.join(_WORDS)})\b(?! (?:is|on|in|at) the\b)",
    lambda m: str(_WORDS[m[1]]),
    text,
  )
  text = re.sub(
    r"\b(\d{1,2}|an?) hundred(?:(?: and)? (\d{1,2})(?![\d.,/]))?\b",
    _hundreds,
    text,
  )
  text = re.sub(
    r"\b(\d+) point (\d(?: \d\b)*)",
    lambda m: f"{m[1]}.{m[2].replace(' ', '')}",
    text,
  )
  text = re.sub(r"\b(\d+) and an? half\b", r"\1.5", text)
  text = re.sub(rf"\ban? ((?:{_UNITS})\w*) and an? half\b", r"1.5 \1", text)
  text = re.sub(
    rf"\b(?:half an?|an? half(?: of)?(?: an?)?|half (?={_UNITS}))(?=\W|\b)",
    "0.5 ",
    text,
  )
  text = re.sub(r"\b(?:3|three) quarters of an?\b", "0.75", text)
  text = re.sub(r"\ba quarter (?:of an?\b|(?=met))", "0.25 ", text)
  text = re.sub(r"\b(?:minus|negative) (?=[\d.])", "-", text)
  return re.sub(rf"\b(?:an?|single) (?={_UNITS})", "1 ", text)
