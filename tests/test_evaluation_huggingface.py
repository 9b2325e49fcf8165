"""Answers in batches are those that transformers gives one by one."""

import huggingface_fake as fake
import numpy as np
import pytest

from hispatial_jax.evaluation import huggingface, models

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

_NEW = 5


@pytest.fixture(scope="module", autouse=True)
def one_thread():
  """Such small matrices only wait for other threads."""
  before = torch.get_num_threads()
  torch.set_num_threads(1)
  yield
  torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return fake.save(tmp_path_factory.mktemp("hf") / "tiny")


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
  return fake.save_llava(tmp_path_factory.mktemp("hf") / "llava")


def _requests(lengths=(3, 9, 5, 12, 1)):
  rng = np.random.default_rng(0)
  out = []
  for i, n in enumerate(lengths):
    words = " ".join(rng.choice(fake.WORDS.split(), n))
    image = rng.integers(0, 255, (40, 50, 3), np.uint8)
    out.append(models.Request(str(i), words, image))
  # As SpatialRGPT's prompts are.
  return [*out, out[0]._replace(key="x", text="<image>\n" + out[0].text)]


def _alone(model, processor, text, image):
  """(text, log-probability, tokens) by transformers' own means."""
  from PIL import Image

  inputs = processor(
    text=text, images=Image.fromarray(image), return_tensors="pt"
  )
  out = model.generate(
    **inputs,
    do_sample=False,
    max_new_tokens=_NEW,
    return_dict_in_generate=True,
    output_scores=True,
  )
  new = out.sequences[:, inputs["input_ids"].shape[1] :]
  logp = model.compute_transition_scores(
    out.sequences, out.scores, normalize_logits=True
  )
  said = processor.decode(new[0], skip_special_tokens=True)
  return said, float(logp.sum()), new.shape[1]


def _theirs(folder, kind):
  model = kind.from_pretrained(folder)
  return model.eval(), transformers.AutoProcessor.from_pretrained(folder)


def test_paligemma_in_batches(folder):
  ours = huggingface.open(str(folder), batch_size=4, max_new_tokens=_NEW)
  theirs = _theirs(folder, transformers.PaliGemmaForConditionalGeneration)
  requests = _requests()
  answers = ours.answer(requests)
  assert len({a.text for a in answers}) > 3
  for request, answer in zip(requests, answers, strict=True):
    text = request.text
    text = text if text.startswith("<image>") else "<image>" + text
    said, logp, tokens = _alone(*theirs, text, request.image)
    assert (answer.text, answer.tokens) == (said, tokens)
    # float32 noise: padding changes the order of sums.
    assert answer.logp == pytest.approx(logp, abs=1e-4)
    assert answer.ended is False


def test_what_follows_the_end_is_not_counted(folder):
  model = huggingface.open(str(folder), batch_size=6, max_new_tokens=_NEW)
  requests = _requests()
  whole = model.answer(requests)
  first = whole[0].text.split()[0]
  end = model._processor.tokenizer.convert_tokens_to_ids(first)
  model._model.generation_config.eos_token_id = [1, end]
  answers = model.answer(requests)
  assert (answers[0].tokens, answers[0].ended) == (1, True)
  assert whole[0].logp < answers[0].logp < 0
  longest = [a for a in answers if not a.ended]
  assert longest
  assert {a.tokens for a in longest} == {_NEW}


def test_any_other_model_by_its_chat_template(llava):
  ours = huggingface.open(str(llava), batch_size=4, max_new_tokens=_NEW)
  assert ours.describe()["template"] == "chat"
  assert ours.prompt("<image>\nhow wide ?") == "<image>how wide ? yes"
  theirs = _theirs(llava, transformers.LlavaForConditionalGeneration)
  requests = _requests((3, 9, 5))
  for request, answer in zip(requests, ours.answer(requests), strict=True):
    text = f"<image>{request.text.replace('<image>', '').strip()} yes"
    said, logp, _ = _alone(*theirs, text, request.image)
    assert answer.text == said
    assert answer.logp == pytest.approx(logp, abs=1e-4)
  ours._processor.chat_template = None
  assert ours.prompt("<image>\nhow ?") == "<image>how ?"


def test_describe_names_the_weights(folder, tmp_path):
  found = huggingface.open(str(folder)).describe()
  assert found["class"] == "PaliGemmaForConditionalGeneration"
  assert (found["template"], found["dtype"]) == ("bare", "float32")
  again = fake.save(tmp_path / "tiny", seed=1)
  other = huggingface.open(str(again)).describe()
  assert other["sha256"] != found["sha256"]
  assert {**other, "sha256": 0} == {**found, "sha256": 0}


def test_missing_weights_are_no_model(folder, tmp_path):
  from safetensors import numpy as safe

  for path in folder.iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  weights = safe.load_file(tmp_path / "model.safetensors")
  weights.pop(sorted(weights)[-1])
  path = tmp_path / "model.safetensors"
  safe.save_file(weights, path, metadata={"format": "pt"})
  with pytest.raises(ValueError, match="lacks 1 weights"):
    huggingface.open(str(tmp_path))


def test_pickled_weights_are_refused(folder, tmp_path):
  for path in folder.iterdir():
    if path.suffix != ".safetensors":
      (tmp_path / path.name).write_bytes(path.read_bytes())
  (tmp_path / "pytorch_model.bin").write_bytes(b"evil")
  with pytest.raises(FileNotFoundError, match="are pickles"):
    huggingface.open(str(tmp_path))
  (tmp_path / "model.safetensors").write_bytes(b"no")
  with pytest.raises(ValueError, match="can't be loaded"):
    huggingface.open(str(tmp_path))
