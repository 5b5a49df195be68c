"""All faults, and the choice of some. For run.py and tests/setup/test_mutants.py."""

from collections.abc import Collection

from environment.report import Failure
from mutants import (
    faults_angles,
    faults_autograd,
    faults_calls,
    faults_checks,
    faults_cpu,
    faults_derivatives,
    faults_threads,
    faults_vmap,
)
from mutants.fault import Fault

FAULTS = (
    *faults_angles.FAULTS,
    *faults_threads.FAULTS,
    *faults_cpu.FAULTS,
    *faults_checks.FAULTS,
    *faults_calls.FAULTS,
    *faults_autograd.FAULTS,
    *faults_derivatives.FAULTS,
    *faults_vmap.FAULTS,
)

# What CI runs: a fault of the mathematics, of the planner and of the argument checks, whose tests
# need neither torch nor a long compilation.
CANARIES = ("rotation-sine-sign", "plan-width-of-whole-head", "overlap-touching-strides")


def chosen(names: Collection[str]) -> list[Fault]:
    """Those of these names; all where there are none."""
    unknown = sorted(set(names) - {fault.name for fault in FAULTS})
    if unknown:
        raise Failure(f"No fault {', '.join(unknown)}: scripts/mutants/run.py --list names them.")
    return [fault for fault in FAULTS if not names or fault.name in names]
