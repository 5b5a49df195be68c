"""torch.library.opcheck, all of it, with arguments that hypothesis draws; few, since each is traced
several times. test_opcheck.py has those that were thought of.
"""

import torch
from fuzz_calls import calls, rerotations
from fuzz_tensors import INT64, frequencies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

checked = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

ONE = torch.ones(1)


def can_be_cloned(tensor):
    """Whether torch._dynamo.utils.clone_input can: it counts the elements that strides span as if
    no tensor were empty, and where that is below zero it fails, for ATen's own operators too.
    """
    return (
        sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride(), strict=True)) >= 0
    )


def can_be_judged(call):
    """Whether opcheck can: it takes NaN, as where a table has no row, for unequal to itself."""
    tensors = [value for value in call.named().values() if isinstance(value, torch.Tensor)]
    x, _, pos = call.arguments()
    return (
        all(map(can_be_cloned, tensors))
        and not torch.ops.rope.rotate(x, pos, **call.keywords).isnan().any()
    )


def judged(**options):
    return calls(**options).filter(can_be_judged)


def want_gradients(call, grad, learned):
    """Of the rotated tensors and, where they alone give the angles, of the frequencies."""
    for rotated in filter(None, (call.q, call.k)):
        rotated.view.requires_grad_(grad)
    if "inv_freq" in call.keywords and not {"cos_sin", "cos"} & call.keywords.keys():
        inv_freq = call.keywords["inv_freq"]
        inv_freq.requires_grad_(learned and inv_freq.is_floating_point())


@checked
@given(judged())
def test_apply(call):
    torch.library.opcheck(torch.ops.rope.apply.default, call.arguments(), call.keywords)


@checked
@given(judged(with_k=False), st.booleans(), st.booleans())
def test_rotate(call, grad, learned):
    want_gradients(call, grad, learned)
    x, _, pos = call.arguments()
    torch.library.opcheck(torch.ops.rope.rotate.default, (x, pos), call.keywords)


@checked
@given(judged(with_k=True), st.booleans(), st.booleans())
def test_rotate_qk(call, grad, learned):
    want_gradients(call, grad, learned)
    torch.library.opcheck(torch.ops.rope.rotate_qk.default, call.arguments(), call.keywords)


@checked
@given(judged(with_k=False).filter(lambda call: call.keywords.get("inv_freq", ONE).dim() < 3))
def test_apply_qkv(call):
    """Every head is one of q's or of k's, but where each has its own angles: then all are q's."""
    qkv, _, pos = call.arguments()
    heads = qkv.shape[1 if call.keywords.get("layout") == "bhsd" else -2]
    num_heads_k = 0 if call.keywords.get("cos", ONE).dim() == 4 else heads // 2
    parts = {"num_heads_q": heads - num_heads_k, "num_heads_k": num_heads_k}
    op = torch.ops.rope.apply_qkv.default
    torch.library.opcheck(op, (qkv, pos), {**parts, **call.keywords})


@checked
@given(rerotations().filter(lambda call: all(map(can_be_cloned, (call.q.view, *call.pos)))))
def test_rerotate(call):
    op = torch.ops.rope.rerotate.default
    torch.library.opcheck(op, (call.q.view, *call.pos), call.keywords)


@checked
@given(st.integers(1, 40).flatmap(lambda n: frequencies((n,))), st.integers(1, 9), INT64)
def test_tables(inv_freq, rows, start):
    op = torch.ops.rope.cos_sin_table.default
    torch.library.opcheck(op, (inv_freq, rows), {"start": start})
    if inv_freq.is_floating_point():
        torch.library.opcheck(torch.ops.rope.turns.default, (inv_freq,))
