"""explain's error is the text that apply raises for the same arguments, case by case."""

import error_cases
import error_cases_angles
import error_cases_positions
import pytest
import torch
from cases import random
from error_cases import Arguments, B, D, H, S
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad

import torch_rope

CASES = {
    **error_cases.CASES,
    **error_cases_angles.CASES,
    **error_cases_positions.CASES,
}
HOST_CASES = error_cases_positions.HOST_CASES


def raised_by_apply(q, k=None, pos=None, **keywords):
    with pytest.raises(RuntimeError) as raised:
        torch.ops.rope.apply(q, k, pos, **keywords)
    return str(raised.value)


def assert_same_error(*arguments, **keywords):
    """The same text; nothing else is said of a call that does not run."""
    said = torch_rope.explain(*arguments, **keywords)
    assert said["error"] == raised_by_apply(*arguments, **keywords)
    assert {key for key, value in said.items() if value is not None} == {"error"}


def assert_same_error_of(arguments):
    versions = [t._version for t in arguments.tensors()]
    assert_same_error(arguments.q, arguments.k, arguments.pos, **arguments.keywords)
    assert [t._version for t in arguments.tensors()] == versions


@pytest.mark.parametrize(("good", "spoil", "_"), CASES.values(), ids=CASES)
def test_error(device, good, spoil, _):
    arguments = good(device)
    spoil(arguments)
    assert_same_error_of(arguments)


@pytest.mark.parametrize(("good", "spoil", "_"), HOST_CASES.values(), ids=HOST_CASES)
def test_values_on_the_host(good, spoil, _):
    arguments = good("cpu")
    spoil(arguments)
    assert_same_error_of(arguments)


@pytest.mark.parametrize(("good", "spoil", "text"), CASES.values(), ids=CASES)
def test_errors_of_fake_cuda_tensors(good, spoil, text):
    with FakeTensorMode():
        a = good("cuda")
        spoil(a)
        said = torch_rope.explain(a.q, a.k, a.pos, **a.keywords)
    assert said["error"] == f"rope::apply: {text}"


def test_frequencies_that_are_not_finite(device):
    a = Arguments(device)
    a.keywords["inv_freq"] = torch.tensor([1.0, 0.5, float("nan"), 0.1])
    assert_same_error_of(a)


@pytest.mark.parametrize("other", ["pos", "offsets", "cos_sin"])
def test_other_devices(device, other):
    q = random(B, S, H, D, dtype=torch.float32, device=device)
    made = {"pos": (S,), "offsets": (B,), "cos_sin": (4, D)}[other]
    dtype = torch.float32 if other == "cos_sin" else torch.int64
    elsewhere = torch.zeros(made, dtype=dtype, device="meta")
    assert_same_error(q, **{other: elsewhere})


@pytest.mark.parametrize("recorded", ["q", "k", "inv_freq", "cos_sin"])
def test_requires_grad(device, recorded):
    made = {
        "q": random(B, S, H, D, dtype=torch.float32, device=device),
        "k": random(B, S, 1, D, dtype=torch.float32, device=device),
    }
    if recorded not in made:
        made[recorded] = torch.ones({"inv_freq": (4,), "cos_sin": (9, D)}[recorded], device=device)
    made[recorded].requires_grad_()
    assert_same_error(**made)
    with torch.no_grad():
        assert torch_rope.explain(**made)["error"] is None


def test_tangents(device):
    q = random(B, S, H, D, dtype=torch.float32, device=device)
    with forward_ad.dual_level():
        assert_same_error(forward_ad.make_dual(q, torch.ones_like(q)))


@pytest.mark.parametrize("argument", ["q", "k", "inv_freq"])
def test_what_the_dispatcher_refuses(argument):
    """There is no kernel for sparse tensors: the text is torch's own."""
    made = {"q": torch.zeros(B, S, H, D), argument: torch.zeros(B, S, H, D).to_sparse()}
    assert "SparseCPU" in torch_rope.explain(**made)["error"]
    assert_same_error(**made)
