"""The hardest frequencies to round to turns: those whose f / 2 pi * 2^64 is nearest to half-way.

A frequency is mantissa * 2^exponent, so for one exponent the fractions of f / 2 pi * 2^64 are those
of the multiples of one irrational number. Which multiple is the first to lie in an interval is
answered as Euclid's algorithm computes a greatest common divisor: a hundred steps find the nearest
one to half-way among 2^52.
"""

import mpmath

# Fractions count in units of 2^-FRACTION_BITS: the step's, cut off there and multiplied by a
# mantissa, is off by 2^-347, where the distances that are compared are 2^-54 to 2^-65.
FRACTION_BITS = 400
ONE = 1 << FRACTION_BITS
HALF = ONE >> 1


def first_multiple(step, modulus, low, high):
    """Returns the smallest x >= 0 with low <= step * x % modulus <= high, or None.

    0 <= step < modulus and 0 <= low <= high < modulus.
    """
    if low == 0:
        return 0
    if step == 0:
        return None
    x = -(-low // step)
    if step * x <= high:
        return x
    # No multiple of step lies between low and high; so they do where the next multiple of step is
    # as far above some multiple of the modulus.
    y = first_multiple(modulus % step, step, -high % step, -low % step)
    return None if y is None else -(-(low + modulus * y) // step)


def multiples_within(low, high, step, start, count):
    """Yields each x in 0 ... count - 1 whose start + step * x lies in [low, high] modulo ONE."""
    x = 0
    while x < count:
        here = start + step * x
        from_here, to_here = (low - here) % ONE, (high - here) % ONE
        ahead = 0 if from_here > to_here else first_multiple(step, ONE, from_here, to_here)
        if ahead is None or x + ahead >= count:
            return
        yield x + ahead
        x += ahead + 1


def step_of(exponent):
    """Returns the fraction of 2^exponent / 2 pi * 2^64."""
    with mpmath.workprec(FRACTION_BITS + 1200):
        return int(mpmath.floor(mpmath.ldexp(1 / mpmath.pi, exponent + 63 + FRACTION_BITS))) % ONE


def nearest(exponent, bits, above):
    """Returns the nearest turns to half-way of all frequencies m * 2^exponent, m of so many bits.

    As (distance, m), the distance in units of the last bit of turns. Above half-way, or below it;
    None where the interval has no turns so near as 1/16, which is so for the smallest frequencies.
    """
    first = 1 << (bits - 1)
    step = step_of(exponent)
    start = step * first
    width = ONE // first  # holds one multiple, on average
    while width <= ONE // 16:
        low, high = (HALF, HALF + width) if above else (HALF - width, HALF)
        found = list(multiples_within(low, high, step, start, first))
        if found:
            distance, x = min((abs((start + step * x) % ONE - HALF), x) for x in found)
            return float(mpmath.ldexp(distance, -FRACTION_BITS)), first + x
        width *= 4
    return None
