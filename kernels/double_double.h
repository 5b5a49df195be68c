// Double-double arithmetic: about 106 bits as the sum of two float64, so that a frequency can be
// computed wider and rounded once. For the sources of kernels/ alone; not installed, host only.
// Nothing but IEEE operations, fma and scaling by powers of two: the same bits everywhere.
#pragma once

#include <cfloat>
#include <cmath>
#include <limits>

#ifdef __FAST_MATH__
#error "double_double.h needs IEEE arithmetic: compile without -ffast-math"
#endif
static_assert(std::numeric_limits<double>::is_iec559 && FLT_EVAL_METHOD == 0,
              "double_double.h needs float64 operations that round to float64");

namespace rope::double_double {

// high + low, where high is the float64 nearest to the sum. Operands and results keep their low
// part above 2^-1022 to be as accurate as stated; values within 2^±400 of 1 do.
struct DoubleDouble {
  double high;
  double low;

  // Implicit: a double is the number it stands for.
  constexpr DoubleDouble(double exact) : high(exact), low(0.0) {}
  constexpr DoubleDouble(double nearest, double rest) : high(nearest), low(rest) {}
};

constexpr DoubleDouble kLog2{0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};   // ln 2
constexpr DoubleDouble kTwoPi{0x1.921fb54442d18p+2, 0x1.1a62633145c07p-52};  // 2π

// x + y exactly, where |x| ≥ |y| or x = 0 (Dekker, "A floating-point technique for extending the
// available precision", 1971).
inline DoubleDouble quick_two_sum(double x, double y) {
  const double sum = x + y;
  return {sum, y - (sum - x)};
}

// x + y exactly (Knuth, "The Art of Computer Programming" 2, section 4.2.2).
inline DoubleDouble two_sum(double x, double y) {
  const double sum = x + y;
  const double part = sum - x;
  return {sum, (x - (sum - part)) + (y - part)};
}

// x · y exactly. std::fma rounds once with and without the instruction.
inline DoubleDouble two_prod(double x, double y) {
  const double product = x * y;
  return {product, std::fma(x, y, -product)};
}

// The operations are AccurateDWPlusDW, DWTimesDW3 and DWDivDW2 of Joldes, Muller and Popescu,
// "Tight and rigorous error bounds for basic building blocks of double-word arithmetic" (2017);
// their relative errors are below 4, 5 and 20 times 2^-106.
inline DoubleDouble operator+(DoubleDouble x, DoubleDouble y) {
  const DoubleDouble highs = two_sum(x.high, y.high);
  const DoubleDouble lows = two_sum(x.low, y.low);
  const DoubleDouble sum = quick_two_sum(highs.high, highs.low + lows.high);
  return quick_two_sum(sum.high, lows.low + sum.low);
}

inline DoubleDouble operator-(DoubleDouble x) {
  return {-x.high, -x.low};
}

inline DoubleDouble operator-(DoubleDouble x, DoubleDouble y) {
  return x + -y;
}

inline DoubleDouble operator*(DoubleDouble x, DoubleDouble y) {
  const DoubleDouble highs = two_prod(x.high, y.high);
  const double cross = std::fma(x.low, y.high, std::fma(x.high, y.low, x.low * y.low));
  return quick_two_sum(highs.high, highs.low + cross);
}

inline DoubleDouble operator/(DoubleDouble x, DoubleDouble y) {
  const double quotient = x.high / y.high;
  const DoubleDouble product = y * quotient;
  const double rest = (x.high - product.high) + (x.low - product.low);
  return quick_two_sum(quotient, rest / y.high);
}

// e^x for |x| ≤ 0.7, within 2^-101 of itself where x is exact.
inline DoubleDouble exp(DoubleDouble x) {
  // Taylor's series by Horner's rule; the first term left out is 0.7^29 / 29! < 2^-117.
  constexpr int kTerms = 28;
  DoubleDouble sum = 1.0;
  for (int n = kTerms; n >= 1; --n) {
    sum = 1.0 + x * sum / static_cast<double>(n);
  }
  return sum;
}

// ln x for 0.7 ≤ x ≤ 1.42, within 2^-101 of itself.
inline DoubleDouble log(DoubleDouble x) {
  // 2 artanh((x − 1) / (x + 1)), whose argument is below 0.18: the first term of the series left
  // out is 0.18^46 / 47 < 2^-119 of the whole.
  constexpr int kTerms = 22;
  const DoubleDouble ratio = (x - 1.0) / (x + 1.0);
  const DoubleDouble square = ratio * ratio;
  DoubleDouble sum = 0.0;
  for (int n = kTerms; n >= 0; --n) {
    sum = sum * square + 1.0 / DoubleDouble(2.0 * n + 1.0);
  }
  return 2.0 * ratio * sum;
}

// mantissa · 2^exponent, which neither overflows nor loses its low part on the way.
// mantissa is near 1: between √½ and √2 from scaled(), a few powers of two off after a product.
struct Scaled {
  DoubleDouble mantissa;
  int exponent;
};

// x is positive and finite.
inline Scaled scaled(DoubleDouble x) {
  int exponent = 0;
  if (std::frexp(x.high, &exponent) < 0x1.6a09e667f3bcdp-1) --exponent;
  return {{std::ldexp(x.high, -exponent), std::ldexp(x.low, -exponent)}, exponent};
}

// ln x of any positive number, within 2^-100 of itself or of 2^-100.
inline DoubleDouble log(Scaled x) {
  const Scaled near = scaled(x.mantissa);
  return log(near.mantissa) + static_cast<double>(x.exponent + near.exponent) * kLog2;
}

inline Scaled operator*(Scaled x, Scaled y) {
  return {x.mantissa * y.mantissa, x.exponent + y.exponent};
}

inline Scaled operator/(Scaled x, Scaled y) {
  return {x.mantissa / y.mantissa, x.exponent - y.exponent};
}

// The number itself. Its high part becomes infinite above the largest float64; a part below 2^-1022
// is rounded to a subnormal or zero.
inline DoubleDouble unscaled(Scaled x) {
  return {std::ldexp(x.mantissa.high, x.exponent), std::ldexp(x.mantissa.low, x.exponent)};
}

}  // namespace rope::double_double
