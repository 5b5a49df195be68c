"""The fuzz of the operators, after scripts/setup.py, for as long as it is told, each round with a
seed of its own. Behind make fuzz; docs/testing.md says what is drawn.
"""

import argparse
import secrets
import subprocess
import sys
import time

from environment import packages
from environment.report import ROOT, Failure, guarded

FILES = ("tests/python/test_fuzz.py", "tests/python/test_fuzz_refusals.py")
# About a minute a round on two cores.
EXAMPLES = 1000


def fuzz_round(seed: int, examples: int) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"]
    status = subprocess.run(
        [*command, f"--hypothesis-seed={seed}", *FILES],
        cwd=ROOT,
        env={**packages.environment(), "ROPE_FUZZ_EXAMPLES": str(examples)},
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode
    if status:
        again = f'make fuzz ARGS="--seed {seed} --examples {examples}"'
        raise Failure(f"A call was found that is wrong: see the lines above. Once more: {again}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Calls the operators with drawn arguments.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, help="one round, with this seed")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="of each test and round")
    chosen = parser.parse_args()
    end = time.monotonic() + 60.0 * chosen.minutes
    rounds = 0
    while rounds == 0 or (chosen.seed is None and time.monotonic() < end):
        seed = secrets.randbelow(2**31) if chosen.seed is None else chosen.seed
        print(f"round {rounds + 1}, seed {seed}", flush=True)
        fuzz_round(seed, chosen.examples)
        rounds += 1
    print(f"{rounds} rounds of {chosen.examples} examples a test, nothing found", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
