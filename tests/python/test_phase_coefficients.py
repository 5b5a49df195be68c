"""The constants in kernels/phase.h are those that scripts/phase_coefficients.py derives.

How good the resulting cosine and sine are is the C++ tests' question; here: that the script is
right, and that the header holds its numbers.
"""

import re
from pathlib import Path

import pytest
import torch
from mpmath import mp, mpf

import phase_coefficients

PHASE_H = Path(__file__).parents[2] / "kernels" / "phase.h"


def test_header_holds_the_derived_constants(capsys):
    assert phase_coefficients.main(["--check", str(PHASE_H)]) == 0, capsys.readouterr().err


@pytest.fixture(scope="module")
def derived():
    """The constants that the script derives: literals by name, and words."""
    with mp.workprec(phase_coefficients.WORKING_BITS):
        fits = phase_coefficients.sine_fit(), phase_coefficients.cosine_fit()
        return phase_coefficients.scalars(*fits), phase_coefficients.inverse_two_pi_words()


LITERAL = r"k\w+ = -?0x1\.[0-9a-f]*p[+-]\d+f(?=;)|0x[0-9a-f]{16}(?=,)"
LITERALS = re.findall(LITERAL, PHASE_H.read_text(encoding="utf-8"))
WORDS = [literal for literal in LITERALS if literal.startswith("0x")]


def name_of(literal):
    is_word = literal in WORDS
    return f"kInverseTwoPi[{WORDS.index(literal)}]" if is_word else literal.split(" = ")[0]


def with_last_digit_changed(literal):
    """The last bit of a word, or one unit in the last place of a float32, away from zero."""
    if literal in WORDS:
        return f"0x{int(literal, 16) ^ 1:016x}"
    name, number = literal.removesuffix("f").split(" = ")
    value = torch.tensor(float.fromhex(number))
    return f"{name} = {torch.nextafter(value, 2 * value).item().hex()}f"


def test_the_header_has_no_other_constants(derived):
    scalars, words = derived
    assert list(map(name_of, LITERALS)) == [
        *scalars,
        *(f"kInverseTwoPi[{index}]" for index in range(len(words))),
    ]


@pytest.mark.parametrize("literal", LITERALS, ids=map(name_of, LITERALS))
def test_check_names_a_changed_last_digit(derived, literal):
    text = PHASE_H.read_text(encoding="utf-8")
    assert text.count(literal) == 1
    changed = text.replace(literal, with_last_digit_changed(literal))
    sentences = phase_coefficients.differences(changed, *derived)
    assert any(sentence.startswith(f"{name_of(literal)} is ") for sentence in sentences)


@pytest.mark.parametrize(
    ("pattern", "replacement", "sentence"),
    [
        pytest.param(r"(kTwoPiLow = )-", r"\1", "kTwoPiLow is 0x1.777a5cp-23", id="sign"),
        pytest.param(r"kCos2 =", "kCosine2 =", "kCos2 is missing", id="no-scalar"),
        pytest.param(r"0xfc33ef0826bd0d87,?", "", "has 19 words, expected 20", id="few-words"),
        pytest.param(r"kInverseTwoPi\[20\]", "kWords[20]", "kInverseTwoPi[] is", id="no-words"),
    ],
)
def test_check_names_a_changed_constant(pattern, replacement, sentence, tmp_path, capsys):
    changed, count = re.subn(pattern, replacement, PHASE_H.read_text(encoding="utf-8"))
    assert count == 1
    header = tmp_path / "phase.h"
    header.write_text(changed, encoding="utf-8")
    assert phase_coefficients.main(["--check", str(header)]) == 1
    assert sentence in capsys.readouterr().err


def arctangent_of_inverse(n, bits):
    """Returns about arctan(1/n) * 2^bits by its power series, in integers."""
    power, total, k = (1 << bits) // n, 0, 0
    while power:
        total += (-1) ** k * (power // (2 * k + 1))
        power //= n * n
        k += 1
    return total


def test_words_are_the_bits_of_inverse_two_pi():
    # Machin: pi = 16 arctan(1/5) - 4 arctan(1/239). The thousand truncations err by less than 2^16
    # units of 2^-1400, so the first 1280 bits of the quotient are right unless a hundred equal bits
    # follow them.
    bits = 1400
    pi = 16 * arctangent_of_inverse(5, bits) - 4 * arctangent_of_inverse(239, bits)
    number = (1 << (1280 + bits)) // (2 * pi)
    assert phase_coefficients.inverse_two_pi_words() == [
        (number >> (1280 - 64 * (k + 1))) % 2**64 for k in range(20)
    ]


def test_minimax_finds_the_chebyshev_polynomial():
    # The cubic nearest to z^4 on [0, 1] leaves the shifted Chebyshev polynomial T4(2z - 1) / 128
    # = z^4 - 2 z^3 + 5/4 z^2 - 1/4 z + 1/128. The exchange stops within 1e-9 of levelled.
    with mp.workprec(phase_coefficients.WORKING_BITS):
        fit = phase_coefficients.minimax(lambda z: z**4, lambda z: mpf(1), 3, mpf(1))
        assert [float(c) for c in fit.coefficients] == pytest.approx(
            [-1 / 128, 1 / 4, -5 / 4, 2], rel=1e-8
        )
        assert float(fit.error) == pytest.approx(1 / 128, rel=1e-8)
