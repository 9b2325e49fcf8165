"""The page says what was made: counts, balance, licence, what was left out."""

import dataclasses
import json
import re

import data_fakes
import pytest

from hispatial_jax.data import sources
from hispatial_jax.precompute import beam, plan, report, run


@dataclasses.dataclass(frozen=True)
class _Source(data_fakes.Source):
  """Records with questions and notes; every fourth one without depth."""

  def describe(self):
    return {"source": "fake", "kind": "ca1m"}

  def make(self, name):
    record = super().make(name)
    item = {
      "object": {"raw": {"raw_bbox": [1, 2, 3, 4]}},
      "qa_pairs": [
        {
          "question": f"Where <b> in {name}?",
          "answer": "left",
          "format": "mcq",
          "options": ["left", "right"],
        }
      ],
    }
    released = {"question": "", "answer": "", "level": 2, "meta": item}
    record["qa"][2] |= {"answer": "Yes", "format": "yes_no"}
    record["qa"].insert(
      0, released | {"task": "vqa_side", "format": "released"}
    )
    if int(name[1:]) % 4 == 0:
      record |= {"depth_m": None, "intrinsics": None}
    return record | {"notes": [("roles", f"{name}: two <humans> in a row")]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
  out = tmp_path_factory.mktemp("out")
  source = _Source(train=60, val=8, broken=("r0003",))
  options = plan.Options(shard_size=16, depth_optional=True)
  crew = beam.Crew(None, threads=2)
  run.run(source, str(out), options, crew, max_bad_share=0.1)
  return out, (out / "report.html").read_text()


def _plain(page):
  """The words, without what is inside tags."""
  return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_counts_of_questions(made):
  words = _plain(made[1].partition("<body>")[2])
  assert "Records of many pictures" in words
  assert "67 records of 68 pictures" in words
  assert "17 without depth; 1 could not be used" in words
  assert "67 of the records hold 268 stored questions. Formats" in words
  # Each record: one of level 2 released, and one of each level 0, 1 and 2.
  assert "level 1 objects 67 25.0 %" in words
  assert "level 2 relations 134 50.0 %" in words
  assert "choice 25.0 %, text 50.0 %, yes or no 25.0 %" in words
  assert "Yes 100.0 %" in words
  assert "vqa side 67 25.0 % left 67" in words


def test_licence_and_what_was_left_out(made):
  words = _plain(made[1])
  assert "fake 67 CC BY-NC-ND 4.0 (CA-1M)" in words
  assert "truncated 1" in words
  assert "r0003" in words
  assert "roles 67" in words
  lines = (made[0] / "notes.jsonl").read_text().splitlines()
  assert len(lines) == 67
  assert json.loads(lines[0]) == {
    "split": "train",
    "id": "r0000",
    "reason": "roles",
    "message": "r0000: two <humans> in a row",
  }


def test_cards_are_drawn_by_the_fingerprint(made):
  page = made[1]
  cards = page.split('<figure><div class="pair')[1:]
  assert len(cards) == 48
  ids = [re.search(r'<b title="(r\d+)">', card)[1] for card in cards]
  assert ids == sorted(ids)
  assert ids[-1] > "r1000"  # of the whole, val is the last eighth
  for name, card in zip(ids, cards, strict=True):
    bare = int(name[1:]) % 4 == 0
    assert card.count("data:image/jpeg") == (1 if bare else 2)
    words = _plain("<" + card)
    assert (
      f"level 2 · side · mcq · boxes: 1 Where &lt;b&gt; in {name}?" in words
    )
    assert "left right left level 0 · fake · text" in words
    assert "and 2 more" in words
  assert "http://" not in page.replace("http://www.w3.org", "")


def test_licences():
  inside = {"fingerprint": "x", "source": {"kind": "wild"}}
  assert report.licence({"source": "tfds", "of": inside}).startswith("see HiSp")
  assert report.licence({"licence": "CC0", "kind": "ca1m"}) == "CC0"
  assert report.licence({"source": "tfds", "of": None}) == "not stated"
  toy = sources.ToyWorld(3, kind="room").describe()
  assert report.licence(toy) == "not stated"
