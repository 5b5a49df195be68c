"""The study's decoder: what it reads, its cache, its training; and the weights that are shipped.

Logits are compared with and without a cache. Matrices of one row and of many are multiplied in
different orders: a sum of n products is off by n u of its terms' sizes at most, u = 2^-24. A layer
adds sums of 96 and of 192 products to a stream whose components are 1 or so, four times, and the
logits are sums of 96: 4 * 300 u + 96 u = 2^-13.7 at most.
"""

import pytest
import torch
from study_modules import ROOT, one_thread, study  # noqa: F401 (one_thread is a fixture)

model, generation, train, weights = (
    study(name) for name in ("model", "generation", "train", "weights")
)
extension, text = study("extension"), study("text")
LOGITS = 2.0**-13
pytestmark = pytest.mark.usefixtures("one_thread")


def decoder(positions="rope"):
    torch.manual_seed(0)
    return model.Decoder(positions).eval().requires_grad_(False)


def bytes_of(length, seed=0):
    return torch.randint(32, 127, (2, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("positions", model.POSITIONS)
def test_a_cache_in_pieces_gives_what_all_at_once_gives(positions):
    tokens, reader, cache = bytes_of(48), decoder(positions), model.Cache()
    pieces = [reader(part, cache=cache) for part in tokens.split([30, 1, 1, 16], dim=1)]
    assert cache.length == 48
    assert (torch.cat(pieces, dim=1) - reader(tokens)).abs().max() <= LOGITS


@pytest.mark.parametrize("positions", model.POSITIONS)
def test_no_byte_is_seen_before_its_turn(positions):
    tokens, reader = bytes_of(32), decoder(positions)
    changed = tokens.clone()
    changed[:, 20] += 1
    before, after = reader(tokens), reader(changed)
    assert (before - after)[:, :20].abs().max() <= LOGITS
    assert (before - after)[:, 20].abs().max() > 0.01


@pytest.mark.parametrize("positions", [name for name in model.POSITIONS if name != "none"])
def test_order_matters(positions):
    tokens, reader = bytes_of(32), decoder(positions)
    swapped = tokens.clone()
    swapped[:, [3, 9]] = tokens[:, [9, 3]]
    if positions == "t5":  # whose bias is zero before training
        reader.t5.table.normal_()
    assert (reader(tokens) - reader(swapped))[:, -1].abs().max() > 0.001


def test_training_and_inference_rotate_alike():
    tokens, reader = bytes_of(32), decoder()
    with torch.no_grad():
        in_place = reader(tokens)
    assert (reader(tokens) - in_place).abs().max() <= LOGITS


def test_losses_belong_to_their_bytes():
    tokens, reader = bytes_of(8), decoder()
    probability = reader(tokens[:, :-1]).double().softmax(dim=-1)
    expected = -probability.gather(-1, tokens[:, 1:, None])[..., 0].log()
    # A logit and the logarithm of the sum are float32 numbers of some 16 at most.
    assert (model.losses(reader, tokens) - expected).abs().max() <= 2.0**-18


def test_training_learns_and_is_repeatable(tmp_path):
    course = train.Course(steps=20, length=32, batch=8, peak=5e-3, warm_up=2)
    curves = [train.trained("rope", tmp_path, course, course)["loss"] for _ in range(2)]
    # Batches differ by less than 1; untrained, each byte stands most of all for itself.
    assert curves[0][0] > 6
    assert curves[0][-1] < 4
    assert curves[0] == curves[1]
    assert train.trained(weights.TUNED, tmp_path, course, course)["loss"][0] < 4


def test_weights_are_kept_in_half_precision(tmp_path):
    shape = decoder()
    weights.save(shape, "rope", tmp_path)
    loaded = weights.load("rope", tmp_path)
    for kept, given in zip(loaded.parameters(), shape.parameters(), strict=True):
        assert kept.dtype == torch.float32
        assert torch.equal(kept, given.half().float())


def test_held_out_text_is_not_trained_on():
    whole = text.FILE.read_bytes()
    assert len(text.training()) + len(text.held_out()) == len(whole)
    assert bytes(text.held_out()[:40].tolist()).startswith(
        b"\nBook XI\n\nUndoubtedly he will relent"
    )


# The weights that are shipped.


@pytest.fixture(scope="module")
def log():
    return weights.log()


def test_shipped_weights_are_small_and_of_this_text(log):
    files = [weights.path(name) for name in (*model.POSITIONS, weights.TUNED)]
    assert sum(file.stat().st_size for file in files) <= 4_000_000
    assert set(log["models"]) == {file.stem for file in files}
    assert log["text"] == text.fingerprint()
    assert {file.name for file in (ROOT / "study" / "weights").iterdir()} == {
        *(file.name for file in files),
        "training.json",
    }


@pytest.mark.parametrize("positions", model.POSITIONS)
def test_shipped_models_know_more_than_pairs_of_bytes(positions):
    windows = text.windows(text.held_out(), 257, 8)
    loss = model.losses(weights.load(positions), windows).mean()
    assert loss < text.bigram_loss(text.held_out()) - 0.2


def test_shipped_model_writes_the_same_text_with_and_without_cache():
    rope = weights.load("rope")
    on, off = (generation.write(rope, generation.prompt(), 24, cached=it) for it in (True, False))
    assert on.text == off.text
    assert len(set(on.text)) > 5
    assert (on.logits - off.logits).abs().max() <= 2 * LOGITS


def test_rerotated_keys_of_the_first_layer_are_those_of_a_fresh_prefill(monkeypatch):
    monkeypatch.setattr(generation, "SWITCH_WINDOWS", 2)
    switch = generation.switch(weights.load("rope"))
    # Keys come out of the same products; three rotations round them, by 2^-22 of a pair, and a pair
    # has some ten times the root mean square at most.
    assert 0 < switch["first_layer"] <= 10 * 2.0**-22
    assert switch["last_layer"] > 0.01
    assert switch["rerotated"] < switch["stale"]
    assert switch["rerotated"] < switch["unswitched"]
