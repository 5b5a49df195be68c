"""Where the numbers in kernels/phase.h come from: the minimax coefficients of the sine and cosine
of a phase in turns, and the bits of 1/(2 pi) that turn a frequency into turns per position.

Prints them as they stand in phase.h; `--check FILE` compares them with those in FILE instead and
exits 1 where they differ. A development tool: nothing imports it but its test.
"""

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from mpmath import cos, floor, lu_solve, matrix, mp, mpf, pi, sin, sinc, sqrt

# phase.h reduces a phase to t turns with |t| <= 1/8 and z = t^2, and then evaluates
#   sin(2 pi t) = 2 pi t + t z S(z)       S of degree 3, minimax in relative error
#   cos(2 pi t) = 1 - 2 pi^2 z + z^2 C(z) C of degree 3, minimax in absolute error
# with 2 pi and 2 pi^2 each as a sum of two float32.
LARGEST_Z = mpf(1) / 64
DEGREE = 3

# The largest float64 is below 2^1024, so its turns, to 2^-64 of a turn, take the bits of 1/(2 pi)
# down to 2^-(1024 + 64); the 192 bits below them are there to round.
INVERSE_TWO_PI_WORDS = 20

# Well above float32's 24 bits, small enough to keep the exchange under a second.
WORKING_BITS = 160

Function = Callable[[mpf], mpf]


@dataclass(frozen=True)
class Fit:
    """A polynomial, lowest coefficient first, and its largest weighted error."""

    coefficients: list[mpf]
    error: mpf


def polynomial(coefficients: list[mpf], z: mpf) -> mpf:
    value = mpf(0)
    for coefficient in reversed(coefficients):
        value = value * z + coefficient
    return value


def levelled(target: Function, weight: Function, points: list[mpf]) -> list[mpf]:
    """The polynomial whose weighted error at the points is +E, -E, +E, ..., for some E."""
    count = len(points)
    system, right = matrix(count, count), matrix(count, 1)
    for row, z in enumerate(points):
        for column in range(count - 1):
            system[row, column] = weight(z) * z**column
        system[row, count - 1] = (-1) ** row
        right[row] = weight(z) * target(z)
    return list(lu_solve(system, right))[: count - 1]


def root_between(function: Function, lower: mpf, upper: mpf) -> mpf:
    """Bisection; the function has opposite signs at both ends."""
    positive_below = function(lower) > 0
    for _ in range(60):
        middle = (lower + upper) / 2
        if (function(middle) > 0) == positive_below:
            lower = middle
        else:
            upper = middle
    return (lower + upper) / 2


def highest_point(function: Function, lower: mpf, upper: mpf) -> mpf:
    """Golden section search for the largest |function|, which has one hill in the interval."""
    golden = (sqrt(mpf(5)) - 1) / 2
    left, right = upper - golden * (upper - lower), lower + golden * (upper - lower)
    at_left, at_right = abs(function(left)), abs(function(right))
    for _ in range(80):
        if at_left > at_right:
            upper, right, at_right = right, left, at_left
            left = upper - golden * (upper - lower)
            at_left = abs(function(left))
        else:
            lower, left, at_left = left, right, at_right
            right = lower + golden * (upper - lower)
            at_right = abs(function(right))
    return (lower + upper) / 2


def minimax(target: Function, weight: Function, degree: int, upper: mpf) -> Fit:
    """Remez's exchange on (0, upper] for the smallest maximum of |weight (polynomial - target)|."""
    count = degree + 2
    points = [upper * (1 - cos(pi * (k + mpf(1) / 2) / count)) / 2 for k in range(count)]
    while True:
        coefficients = levelled(target, weight, points)

        def error(z: mpf, fixed: list[mpf] = coefficients) -> mpf:
            return weight(z) * (polynomial(fixed, z) - target(z))

        roots = [root_between(error, points[k], points[k + 1]) for k in range(count - 1)]
        ends = [mpf(0), *roots, upper]
        points = [highest_point(error, ends[k], ends[k + 1]) for k in range(count)]
        heights = [abs(error(point)) for point in points]
        if max(heights) < min(heights) * (1 + mpf(10) ** -9):
            return Fit(coefficients, max(heights))


def sine_fit() -> Fit:
    def target(z: mpf) -> mpf:
        t = sqrt(z)
        return (sin(2 * pi * t) - 2 * pi * t) / (t * z)

    def weight(z: mpf) -> mpf:  # t z / sin(2 pi t)
        return z / (2 * pi * sinc(2 * pi * sqrt(z)))

    return minimax(target, weight, DEGREE, LARGEST_Z)


def cosine_fit() -> Fit:
    def target(z: mpf) -> mpf:
        return (cos(2 * pi * sqrt(z)) - 1 + 2 * pi**2 * z) / z**2

    return minimax(target, lambda z: z**2, DEGREE, LARGEST_Z)


def nearest_float32(value: mpf) -> mpf:
    """Every number here lies far inside float32's normal range."""
    with mp.workprec(24):
        return +value


def hexfloat(value: mpf) -> str:
    """C++'s literal of a float32, as printf's %a writes it."""
    mantissa, exponent = float(value).hex().split("p")
    return f"{mantissa.rstrip('0')}p{exponent}f"


def inverse_two_pi_words() -> list[int]:
    """Bits 1 ... 1280 after the point of 1/(2 pi), cut off, not rounded; the largest first."""
    bits = 64 * INVERSE_TWO_PI_WORDS
    with mp.workprec(bits + 64):
        number = int(floor(mpf(2) ** bits / (2 * pi)))
    return [number >> (64 * k) & (2**64 - 1) for k in reversed(range(INVERSE_TWO_PI_WORDS))]


def scalars(sine: Fit, cosine: Fit) -> dict[str, str]:
    """Name in phase.h to literal."""
    values: dict[str, mpf] = {}
    for name, whole in (("kTwoPi", 2 * pi), ("kTwoPiSquared", 2 * pi**2)):
        values[f"{name}High"] = nearest_float32(whole)
        values[f"{name}Low"] = nearest_float32(whole - values[f"{name}High"])
    for name, fit in (("kSin", sine), ("kCos", cosine)):
        for index, coefficient in enumerate(fit.coefficients):
            values[f"{name}{index}"] = nearest_float32(coefficient)
    return {name: hexfloat(value) for name, value in values.items()}


def differences(text: str, expected: dict[str, str], words: list[int]) -> list[str]:
    """One sentence for each constant that the C++ source lacks or holds otherwise."""
    found = []
    for name, literal in expected.items():
        match = re.search(rf"\b{name}\s*(?:=\s*|\{{\s*)(-?0x[0-9a-fA-F.]+p[+-]?\d+)f?\b", text)
        if match is None:
            found.append(f"{name} is missing as a hexfloat; expected {literal}")
        elif float.fromhex(match[1]) != float.fromhex(literal.rstrip("f")):
            found.append(f"{name} is {match[1]}, expected {literal}")
    match = re.search(r"\bkInverseTwoPi\s*\[[^\]]*\]\s*=?\s*\{([^}]*)\}", text)
    if match is None:
        return [*found, "kInverseTwoPi[] is missing"]
    held = [int(word, 16) for word in re.findall(r"0x[0-9a-fA-F]+", match[1].replace("'", ""))]
    if len(held) != len(words):
        found.append(f"kInverseTwoPi has {len(held)} words, expected {len(words)}")
    for index, (is_word, word) in enumerate(zip(held, words, strict=False)):
        if is_word != word:
            found.append(f"kInverseTwoPi[{index}] is 0x{is_word:016x}, expected 0x{word:016x}")
    return found


def source_text(expected: dict[str, str], words: list[int]) -> str:
    lines = [f"constexpr float {name} = {literal};" for name, literal in expected.items()]
    lines.append(f"constexpr uint64_t kInverseTwoPi[{len(words)}] = {{")
    for index in range(0, len(words), 4):
        lines.append("    " + " ".join(f"0x{word:016x}," for word in words[index : index + 4]))
    return "\n".join([*lines, "};"])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Prints the constants of kernels/phase.h.")
    parser.add_argument("--check", type=Path, metavar="FILE", help="compare with FILE instead")
    check: Path | None = parser.parse_args(arguments).check
    with mp.workprec(WORKING_BITS):
        sine, cosine = sine_fit(), cosine_fit()
        expected, words = scalars(sine, cosine), inverse_two_pi_words()
        bounds = [ceil(mp.log(fit.error, 2)) for fit in (sine, cosine)]
    if check is None:
        print(f"// S within 2^{bounds[0]} of the sine, C within 2^{bounds[1]}.")
        print(source_text(expected, words))
        return 0
    found = differences(check.read_text(encoding="utf-8"), expected, words)
    for sentence in found:
        print(f"{check}: {sentence}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
