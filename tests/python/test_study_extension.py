"""Context extension on the weights that are shipped: the shapes of docs/article.md's curves, from a
few windows. Means over hundreds of bytes differ by 0.1 nats or so between windows; what is asserted
are differences several times as large, between curves of the same bytes.
"""

import functools
import math

import pytest
import torch
from study_modules import one_thread, study  # noqa: F401 (one_thread is a fixture)

extension, weights, text = study("extension"), study("weights"), study("text")
model, measure = study("model"), study("measure")
COUNT = 2
pytestmark = pytest.mark.usefixtures("one_thread")


@functools.cache
def losses(name):
    """Means of SPANS: inside the trained length, to two, four and eight times it."""
    tokens = extension.evaluation()[:: extension.WINDOWS // COUNT][:COUNT]
    if name == extension.TUNED:
        curve = extension.curve(
            weights.load(weights.TUNED), tokens, extension.FIXED["linear, factor 8"]
        )
    elif name in extension.FIXED:
        curve = extension.curve(weights.load("rope"), tokens, extension.FIXED[name])
    elif name in model.POSITIONS:
        curve = extension.curve(weights.load(name), tokens)
    else:
        curve = extension.windowed_curve(weights.load("rope"), tokens[:, : 512 + 1])
    return [extension.mean_between(curve, *span) for span in extension.SPANS]


def test_nothing_done_breaks_down():
    inside, twice, _, eight_times = losses("nothing")
    assert twice > inside + 1
    assert eight_times > text.bigram_loss(text.held_out()) + 1


def test_reading_the_last_bytes_only_is_better_than_nothing():
    windowed, nothing = losses(extension.WINDOWED), losses("nothing")
    assert windowed[0] == pytest.approx(nothing[0], abs=1e-3)
    assert windowed[1] < nothing[1] - 1


def test_linear_interpolation_needs_training():
    assert losses("linear, factor 2")[0] > losses("nothing")[0] + 0.7
    assert losses("linear, factor 2")[1] > 2.5
    assert max(losses(extension.TUNED)) < losses("nothing")[0] + 0.5


def test_ntk_reaches_what_its_fastest_unfinished_pair_allows():
    # Of 16 pairs, number 7 is the first whose turn, 2 pi 10000^(7/16) = 353, is longer than 256.
    assert extension.reaches()["small"]["NTK, α = 8"] == pytest.approx(256 * 8 ** (7 / 15))
    assert extension.reaches()["llama"]["NTK, α = 8"] == pytest.approx(2048 * 8 ** (41 / 63))
    eight, more = losses("NTK, α = 8"), losses("NTK, α = 64")
    assert eight[1] < losses("nothing")[1] - 0.7
    assert eight[3] > eight[1] + 1
    assert more[3] < eight[3] - 1
    assert abs(more[3] - more[1]) < 0.5


def test_yarn_is_flat_without_training():
    inside, *_, eight_times = losses("YaRN, factor 8")
    assert eight_times < inside + 0.4
    assert extension.reaches()["small"]["YaRN, factor 8"] == pytest.approx(2048)


def test_sinusoids_break_down_and_t5s_bias_holds_to_twice_the_length():
    assert losses("sinusoidal")[1] > losses("sinusoidal")[0] + 0.7
    assert losses("t5")[1] < losses("t5")[0] + 0.3
    assert losses("none")[3] > losses("none")[0] + 0.3


@pytest.mark.parametrize("name", ["nothing", "linear, factor 2", "NTK, α = 8"])
def test_loss_rises_where_angles_are_new(name):
    curves, reach = measure.read()["curves"], extension.reaches()["small"][name]
    # Seen in steps of 64; and a little beyond, angles are nearly those that are known.
    assert reach - 64 < extension.rises_at(curves[name]) < 1.25 * reach + 64


def test_a_flat_curve_rises_nowhere():
    flat = [2.0] * 8
    assert extension.rises_at(flat) is None
    assert extension.rises_at([*flat[:6], 2.2, 2.3]) == 7 * extension.BUCKET


def test_dynamic_ntk_is_the_trained_rotation_up_to_the_trained_length():
    trained = extension.FIXED["nothing"].inv_freq
    assert torch.equal(extension.dynamic(256).inv_freq, trained)
    assert not torch.equal(extension.dynamic(257).inv_freq, trained)


def test_dynamic_curve_reads_each_bucket_at_its_own_length(monkeypatch):
    monkeypatch.setattr(extension, "dynamic", lambda length: extension.FIXED["nothing"])
    tokens = extension.evaluation()[:2, :321]
    rope = weights.load("rope")
    # The same bytes in pieces of other lengths: sums in another order, some 2^-16 of a loss.
    expected = pytest.approx(extension.curve(rope, tokens), abs=1e-3)
    assert extension.dynamic_curve(rope, tokens) == expected


def test_windowed_curve_sees_no_more_than_the_trained_length():
    tokens = extension.evaluation()[:2, :513]
    rope = weights.load("rope")
    changed = tokens.clone()
    changed[:, : 512 - 256] = 32
    last = [extension.windowed_curve(rope, tokens)[-1] for tokens in (tokens, changed)]
    assert last[0] == last[1]


def test_a_curve_that_ended_has_no_mean():
    assert extension.mean_between([1.0, 3.0], 0, 128) == 2
    assert math.isnan(extension.mean_between([1.0, 3.0], 0, 192))


def test_learned_curve_ends_where_the_table_ends():
    curve = extension.curve(weights.load("learned"), extension.evaluation()[:2, :257])
    assert len(curve) == 256 // extension.BUCKET
    with pytest.raises(IndexError):
        extension.curve(weights.load("learned"), extension.evaluation()[:2, :258])
