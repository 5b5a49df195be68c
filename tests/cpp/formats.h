// The binary floating-point formats by their definition: arithmetic on powers of two in long double
// instead of the bit operations of kernels/scalar.h, which this judges. For the tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include <rope/params.h>

namespace rope::test {

struct Format {
  int exponent_bits;
  int fraction_bits;

  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  int least_exponent() const { return 1 - bias(); }
  uint32_t infinity() const { return ((1u << exponent_bits) - 1) << fraction_bits; }
  uint32_t sign() const { return 1u << (exponent_bits + fraction_bits); }
};

constexpr Format kFloat32Format = {8, 23};
constexpr Format kHalfFormat = {5, 10};
constexpr Format kBFloat16Format = {8, 7};

inline Format format_of(Dtype dtype) {
  return dtype == Dtype::kFloat32 ? kFloat32Format
                                  : (dtype == Dtype::kFloat16 ? kHalfFormat : kBFloat16Format);
}

inline bool is_nan(Format format, uint32_t bits) {
  return (bits & ~format.sign()) > format.infinity();
}

// The value of a bit pattern, exactly.
inline long double decode(Format format, uint32_t bits) {
  const uint32_t magnitude = bits & ~format.sign();
  const long double sign = (bits & format.sign()) != 0 ? -1.0L : 1.0L;
  if (magnitude == format.infinity()) return sign * std::numeric_limits<long double>::infinity();
  if (magnitude > format.infinity()) return std::numeric_limits<long double>::quiet_NaN();
  const uint32_t fraction = magnitude & ((1u << format.fraction_bits) - 1);
  const int exponent = static_cast<int>(magnitude >> format.fraction_bits);
  const uint32_t significand = exponent == 0 ? fraction : fraction | (1u << format.fraction_bits);
  const int scale = (exponent == 0 ? 1 : exponent) - format.bias() - format.fraction_bits;
  return sign * std::ldexp(static_cast<long double>(significand), scale);
}

// The distance of neighbours in the format, at a finite magnitude.
inline long double ulp(Format format, long double value) {
  const int exponent = value == 0 ? format.least_exponent() : std::ilogb(value);
  const int least = format.least_exponent();
  return std::ldexp(1.0L, (exponent < least ? least : exponent) - format.fraction_bits);
}

// The pattern nearest to a value, to even when two are; infinity from half an ulp above the largest
// finite one on. Not for NaN.
inline uint32_t encode(Format format, long double value) {
  const uint32_t sign = std::signbit(value) ? format.sign() : 0;
  const long double magnitude = std::fabs(value);
  if (std::isinf(value)) return sign | format.infinity();
  const long double spacing = ulp(format, magnitude);
  // rint rounds to nearest even; patterns count multiples of the spacing, binade after binade.
  const auto multiple = static_cast<uint64_t>(std::rint(magnitude / spacing));
  const int binade = std::ilogb(spacing) + format.fraction_bits - format.least_exponent();
  const uint64_t bits = (static_cast<uint64_t>(binade) << format.fraction_bits) + multiple;
  return sign | (bits < format.infinity() ? static_cast<uint32_t>(bits) : format.infinity());
}

inline uint32_t bits_at(Dtype dtype, const void* element) {
  uint32_t bits = 0;
  std::memcpy(&bits, element, dtype == Dtype::kFloat32 ? 4 : 2);
  return bits;
}

inline long double value_at(Dtype dtype, const void* element) {
  return decode(format_of(dtype), bits_at(dtype, element));
}

}  // namespace rope::test
