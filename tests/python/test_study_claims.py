"""docs/article.md, claim by claim: what study/claims measures is within what arithmetic allows, or
plainly outside of it where the article is wrong.

With u = 2^-24, a component in float32 is off by 3.1 u of its pair's length and by half an ulp, u at
most (bounds.py); so a pair by PAIR = sqrt(2) * 4.1 u of its length, a dot product of two rotated
vectors by twice that of |q||k|, and a difference of two such products by SHIFT, four times that.
"""

import math

import pytest
import torch
from study_modules import one_thread, study  # noqa: F401 (one_thread is a fixture)

UNIT = 2.0**-24
PAIR = 5.8 * UNIT
SHIFT = 4 * PAIR
pytestmark = pytest.mark.usefixtures("one_thread")

order, rotation, decay = study("claims.order"), study("claims.rotation"), study("claims.decay")
matrix, additive, heads = study("claims.matrix"), study("claims.additive"), study("claims.heads")
positions, model = study("positions"), study("model")


def test_without_positions_two_sentences_are_one():
    changes = order.two_sentences()
    # q, k and v are sums of 64 products, off by 64 u |x||w| with |x| = 8 and |w| = 1 or so: 2^-15
    # each. Scores are then off by three times that, and with them the weights of the values.
    assert changes["without"] <= 2.0**-13
    assert changes["with"] > 0.1


def test_the_article_counts_from_one():
    counting = order.counting()
    assert counting["offsets_is_article"] is True
    assert counting["first_word_stays"] is True
    assert counting["score_change"] <= SHIFT


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_rotation_keeps_lengths(dtype):
    # Each component is rounded to the type, by half its epsilon of itself.
    rounding = torch.finfo(getattr(torch, dtype)).eps / 2
    assert rotation.norms()[dtype] <= rounding + PAIR


@pytest.fixture(scope="module")
def relative():
    return rotation.relative()


def test_a_score_depends_on_the_distance_alone(relative):
    assert relative["shift"] == [2.0**octave for octave in range(32)]
    assert max(relative["ours"]) <= SHIFT


def test_float32_angles_lose_the_distance(relative):
    errors = dict(zip(relative["shift"], relative["float32"], strict=True))
    # An angle of 2^20 rad is a multiple of 2^-3 rad: off by 0.03 or so in the first of 64 pairs.
    assert errors[2.0**20] > 100 * SHIFT
    assert errors[2.0**31] > 0.05
    assert errors[2.0**8] < errors[2.0**14] < errors[2.0**20] < errors[2.0**26]


@pytest.fixture(scope="module")
def prefix():
    return rotation.prefix()


@pytest.mark.parametrize("scheme", ["none", "linear", "NTK", "YaRN"])
def test_words_at_the_end_leave_earlier_keys_alone(prefix, scheme):
    assert prefix[scheme] == {"stable": True, "change": 0.0, "after_rerotate": 0.0}


@pytest.mark.parametrize("scheme", ["dynamic NTK", "LongRoPE"])
def test_two_schemes_change_cached_keys_and_rerotate_repairs_them(prefix, scheme):
    assert prefix[scheme]["stable"] is False
    assert prefix[scheme]["change"] > 0.1
    # The cached key, its second rotation and the fresh key are rounded.
    assert prefix[scheme]["after_rerotate"] <= 3 * PAIR


def test_keys_that_come_one_by_one_have_the_same_bits():
    assert rotation.token_by_token() is True


def test_block_diagonal_matrices_are_rotations():
    one, three = matrix.block_diagonal(torch.tensor([1, 3]), dim=8)
    # Products of a few numbers of at most 1, in float64.
    tolerance = 2.0**-48
    assert (one @ one @ one - three).abs().max() <= tolerance
    assert (one.T @ one - torch.eye(8)).abs().max() <= tolerance
    assert one[:2, 2:].abs().max() == 0
    assert one[1, 0] == math.sin(1)


def test_block_diagonal_matrix_equals_the_operator():
    assert 0 < matrix.equality()["operator"] <= PAIR


def test_vector_form_is_cheaper_than_the_matrix(monkeypatch):
    monkeypatch.setattr(matrix, "SECONDS", 0.02)
    times = matrix.times()
    # The matrix has 64 times the numbers that the vector form reads.
    assert times["matrix"] > 3 * max(times["vector"], times["operator"])


def test_the_articles_modules_are_no_rotations():
    modules = matrix.wrong_modules()
    assert modules["ours"]["norm"] <= PAIR
    assert modules["ours"]["shift"] <= SHIFT
    assert modules["ours"]["order"] > 0.5
    assert modules["matrix"]["norm"] > 1
    assert modules["matrix"]["order"] == 0
    assert modules["table"]["norm"] > 0.1
    assert modules["table"]["shift"] > 0.1
    square = matrix.cosine_matrix(16)
    assert torch.equal(square, square.T)
    assert matrix.cosine_matrix_facts()["condition"] > 1e12


def test_sinusoids_are_rotated_pair_by_pair():
    # Both encodings are rounded to float32, by half of u, and the rotation adds its 4.1 u.
    assert additive.sinusoids_are_rotated()["difference"] <= 6 * UNIT


def test_learned_positions_end_at_the_trained_length():
    learned = model.Decoder("learned").requires_grad_(False)
    assert "out of range" in additive.learned_ends(learned)["error"]


def test_t5_buckets_are_t5s():
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    distance = torch.arange(1000)
    theirs = t5.T5Attention._relative_position_bucket(-distance, False, 32, 128)
    assert torch.equal(positions.t5_bucket(distance), theirs)


def test_t5_bias_is_another_matrix(monkeypatch):
    monkeypatch.setattr(additive, "SECONDS", 0.05)
    cost = additive.t5_bias_cost()
    assert cost["megabytes"] * 1e6 == pytest.approx(8 * 1024 * 1024 * 4)
    # To make it, every pair of tokens is looked up; a rotation touches every token.
    assert cost["make"] > 3 * cost["rotate"]


def test_bound_of_decay_is_roformers():
    distances = [0, 1, 17, 300]
    schedule = decay.SCHEDULES["base 1e4"]
    expected = []
    for distance in distances:
        running, total = 0j, 0.0
        for pair in range(64):
            angle = distance * 10000.0 ** (-pair / 64)
            running += complex(math.cos(angle), math.sin(angle))
            total += abs(running)
        expected.append(total / 64 / 32.5)
    bound = decay.bound(schedule, torch.tensor(distances))
    # Sums of 64 numbers of at most 1 whose angles, up to 300, are rounded by 2^-45.
    assert bound.tolist() == pytest.approx(expected, rel=0, abs=2.0**-38)


def test_decay_is_a_bound_that_rises_and_falls():
    for name, facts in decay.summary().items():
        assert 0.4 < facts["rising"] < 0.6, name
        assert facts["at_4096"] < 0.5, name


def test_interpolation_stretches_the_decay():
    distances = torch.arange(512)
    stretched = decay.bound(decay.SCHEDULES["linear, factor 8"], 8 * distances)
    plain = decay.bound(decay.SCHEDULES["base 1e4"], distances)
    assert torch.allclose(stretched, plain, rtol=0, atol=2.0**-38)


@pytest.mark.parametrize("name", list(heads.MODELS))
def test_named_models_heads(name):
    assert heads.errors(name) <= PAIR


def test_codegen_pairs_are_transformers():
    codegen = pytest.importorskip("transformers.models.codegen.modeling_codegen")
    shape = heads.MODELS["CodeGen 16B"]
    q, k = heads.inputs(shape)
    width = shape.rotary_dim
    angle = torch.arange(heads.FIRST, heads.FIRST + heads.TOKENS).double()[:, None] * (
        10000.0 ** (-torch.arange(0, width, 2).double() / width)
    )
    sin, cos = angle.sin()[None], angle.cos()[None]
    for x, rotated in zip((q, k), heads.rotated(shape, q, k), strict=True):
        theirs = codegen.apply_rotary_pos_emb(x[..., :width].double(), sin, cos)
        length = torch.hypot(*theirs.unflatten(-1, (-1, 2)).unbind(-1)).repeat_interleave(2, -1)
        # 4.1 u of the pair (bounds.py).
        assert ((rotated[..., :width] - theirs).abs() <= 4.1 * UNIT * length).all()
        assert torch.equal(rotated[..., width:], x[..., width:])
