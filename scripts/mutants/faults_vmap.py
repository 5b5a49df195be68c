"""Faults in what torch.func.vmap makes of a call. For table.py."""

from mutants.fault import Fault

TESTS = ("tests/python/test_vmap.py",)

FAULTS = (
    Fault(
        "vmap-positions-not-repeated",
        "csrc/vmap_fold.cpp",
        "      sizes[batch.dim + 1] = num_sequences();\n",
        "",
        "positions of an example serve its first sequence alone",
        TESTS,
    ),
    Fault(
        "vmap-writes-a-copy",
        "csrc/vmap_fold.cpp",
        "  if (is_written && !(folding.is_view_of(kQ)",
        "  if (is_written && !is_written && !(folding.is_view_of(kQ)",
        "an in-place op rotates a copy where examples lie between batch and heads",
        TESTS,
    ),
    Fault(
        "vmap-shared-frequencies",
        "csrc/vmap_fold.cpp",
        "call_[kInvFreq].is_mapped() ||",
        "",
        "examples' own frequencies are taken for position axes",
        TESTS,
    ),
    Fault(
        "vmap-batch-before-tokens",
        "csrc/vmap_fold.cpp",
        'return options.layout == "sbhd" ? 1 : 0;',
        'return options.layout == "sbdh" ? 1 : 0;',
        "in layout sbhd examples become tokens",
        TESTS,
    ),
    Fault(
        "vmap-any-rank",
        "csrc/vmap_fold.cpp",
        "if (!has_batch_ && !is_ragged) return false;",
        "if (has_batch_ && is_ragged) return false;",
        "a wrong rank or layout is rotated as something else",
        TESTS,
    ),
    Fault(
        "vmap-shared-memory-written",
        "csrc/vmap.cpp",
        "  check_examples(op, name, *mapped.value);\n",
        "",
        "expanded examples are rotated again and again",
        TESTS,
    ),
)
