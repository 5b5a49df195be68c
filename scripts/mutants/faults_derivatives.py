"""Faults in learned frequencies, forward mode, compiled autograd and tracing. For table.py."""

from mutants.fault import Fault

GRADIENTS = ("tests/python/test_frequency_gradients.py",)
DERIVATIVES = "csrc/frequency_derivatives.cpp"

FAULTS = (
    Fault(
        "frequency-gradient-sign",
        DERIVATIVES,
        "now.x * wanted.y - now.y * wanted.x",
        "now.x * wanted.y + now.y * wanted.x",
        "frequencies are learned from half of what they do",
        GRADIENTS,
    ),
    Fault(
        "frequency-gradient-not-inverted",
        DERIVATIVES,
        "options.inverse ? sum.neg() : sum",
        "sum",
        "under inverse frequencies are learned the wrong way",
        ("tests/python/test_frequency_gradients.py::test_keywords",),
    ),
    Fault(
        "frequency-gradient-in-float32",
        DERIVATIVES,
        "(angles * position).sum(at::IntArrayRef{0, 1})",
        "(angles * position).to(at::kFloat).sum(at::IntArrayRef{0, 1})",
        "small terms of long sums are lost",
        ("tests/python/test_frequency_gradients.py::test_long_sums_keep_their_small_terms",),
    ),
    Fault(
        "frequency-gradient-of-skipped-tokens",
        DERIVATIVES,
        "if (positions.skipped.defined()) angles = angles.masked_fill(positions.skipped, 0);\n"
        "  const bool is_per_head",
        "const bool is_per_head",
        "tokens that are not rotated teach frequencies",
        ("tests/python/test_frequency_gradients.py::test_keywords",),
    ),
    Fault(
        "frequency-gradient-without-offsets",
        DERIVATIVES,
        "    if (offset.defined()) own = own + offset;\n",
        "",
        "offsets do not count for learned frequencies",
        ("tests/python/test_frequency_gradients.py::test_keywords",),
    ),
    Fault(
        "frequency-gradient-of-one-sequence",
        DERIVATIVES,
        "(tokens - starts.index_select(0, sequences)).unsqueeze(0)",
        "tokens.unsqueeze(0)",
        "the positions of a ragged batch do not restart",
        ("tests/python/test_frequency_gradients.py::test_ragged_batches",),
    ),
    Fault(
        "frequency-gradient-of-q-alone",
        "csrc/backward.cpp",
        "sum = sum.defined() ? sum + own : own;",
        "sum = sum.defined() ? sum : own;",
        "k teaches frequencies nothing",
        ("tests/python/test_frequency_gradients.py::test_rotate_qk",),
    ),
    Fault(
        "frequency-tangent-turned-backwards",
        DERIVATIVES,
        "joined({now.y.neg() * angles, now.x * angles}",
        "joined({now.y * angles, now.x.neg() * angles}",
        "the tangent of learned frequencies has the wrong sign",
        ("tests/python/test_forward_mode.py::test_frequencies",),
    ),
    Fault(
        "tangent-of-x-forgotten-beside-frequencies",
        "csrc/autograd.cpp",
        "tangent = tangent.defined() ? tangent + own : own;",
        "tangent = own;",
        "a tangent of x is lost where frequencies have one too",
        ("tests/python/test_forward_mode.py::test_both_tangents_add_up",),
    ),
    Fault(
        "tangent-dropped",
        "csrc/autograd.cpp",
        "    set_tangent(k, std::get<1>(out), pos, keywords);\n",
        "",
        "forward mode is told that k's result does not move",
        ("tests/python/test_forward_mode.py::test_rotate_qk",),
    ),
    Fault(
        "table-may-ask-for-a-derivative",
        "csrc/autograd.cpp",
        "TORCH_CHECK(!is_differentiated(argument), op",
        "TORCH_CHECK(!is_differentiated(argument) || true, op",
        "a learned table gets no gradient, and nobody is told",
        ("tests/python/test_refused_derivatives.py::test_tables",),
    ),
    Fault(
        "compiled-graph-kept-for-another-base",
        "csrc/backward.cpp",
        "    args.collect(options_.base);\n",
        "",
        "compiled autograd runs the graph of a call with another base",
        ("tests/python/test_autograd_tools.py::test_compiled_autograd_tells_calls_apart",),
    ),
    Fault(
        "fake-tensors-asked-for-values",
        "csrc/checks_positions.cpp",
        " || !has_memory(cu_seqlens)",
        "",
        "tracing reads memory that fake tensors lack",
        ("tests/python/test_fake.py::test_values_of_fake_starts_are_not_asked_for",),
    ),
)
