"""Compiles functions with Inductor and reads the programs that it wrote.

For tests that ask for the fixture no_compiler_caches.
"""

import math
import re

import torch
from cases import same_bits
from torch._dynamo.utils import counters
from torch._inductor.utils import run_and_get_code
from torch.utils import _pytree as pytree


class Program:
    """One program that Inductor wrote: of a forward or a backward pass."""

    def __init__(self, code):
        begin = code.index("def call(")
        lines = code[begin : code.index("runner = ", begin)].splitlines()
        self.text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))

    def rotations(self):
        """Names of the operators of rope, in the order of their calls."""
        return re.findall(r"torch\.ops\.rope\.(\w+)\.default\(", self.text)

    def allocations(self):
        """Extents of the tensors that the program allocates itself, where they are numbers."""
        made = re.findall(r"= empty_strided_\w+\(\(([\d, ]*)\)", self.text)
        return [math.prod(int(extent) for extent in re.findall(r"\d+", one)) for one in made]

    def kernels(self):
        """Names of the kernels that were generated: copies are among them."""
        return re.findall(r"^\s*((?:cpp|triton)_\w+)(?:\.run)?\(", self.text, re.MULTILINE)


def compile_afresh(function, **options):
    torch._dynamo.reset()
    counters.clear()
    return torch.compile(function, fullgraph=True, **options)


def graphs_compiled():
    """How many since compile_afresh: one, and one more for each recompilation."""
    return counters["stats"]["unique_graphs"]


def run_with_programs(run):
    """The result of run, which calls something compiled for the first time, and its programs."""
    result, codes = run_and_get_code(run)
    return result, [Program(code) for code in codes]


def assert_same(actual, expected):
    """Compares nests of tensors and None: bits and strides."""
    (own, own_nest), (others, other_nest) = map(pytree.tree_flatten, (actual, expected))
    assert own_nest == other_nest
    for a, b in zip(own, others, strict=True):
        if a is None or b is None:
            assert a is b
        else:
            assert same_bits(a.detach(), b.detach())
            assert a.stride() == b.stride()
