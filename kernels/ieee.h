// The float32 operations that decide result bits: IEEE 754, to nearest even, subnormals kept,
// whatever the compiler's flags are. For scalar.h, phase.h and rotation.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "target.h"

namespace rope {
inline namespace ROPE_TARGET {

template <class To, class From>
ROPE_HOST_DEVICE To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(To));
  return to;
}

// x·y + z in one rounding, for a CPU without the instruction. The product of two floats is exact in
// a double; the sum is rounded to odd there (the neighbour with an odd last bit, if inexact), after
// which the rounding to float is the only one that counts (Boldo and Melquiond, "Emulation of FMA
// and correctly rounded sums", 2008): 53 bits are at least two more than 24.
inline float software_fma(float x, float y, float z) {
  const double product = static_cast<double>(x) * static_cast<double>(y);
  const double addend = static_cast<double>(z);
  const double sum = product + addend;
  // The sum's own rounding counts only where it ends half-way between two floats: where its last 29
  // bits are 2^28, or further up for floats no larger than the smallest normal one. Random floats
  // get there once in 2^29 sums; a phase costs 45 ns this way, and 155 the long one (Xeon, Sapphire
  // Rapids, -O3 for x86-64).
  const auto rounded = static_cast<float>(sum);
  const bool half_way = (bit_cast<uint64_t>(sum) & 0x1fffffff) == 0x10000000;
  const bool tiny = (bit_cast<uint32_t>(rounded) & 0x7fffffff) <= 0x00800000;
  if (!half_way && !tiny) return rounded;

  const double part = sum - product;
  const double error = (product - (sum - part)) + (addend - part);
  uint64_t bits = bit_cast<uint64_t>(sum);
  // With an infinity or a NaN the error is a NaN, and both comparisons fail.
  const uint64_t inexact = (error > 0.0) | (error < 0.0);
  const uint64_t outward = (error > 0.0) == (sum > 0.0);
  const uint64_t even = ~bits & 1;
  bits += (inexact & even) * (2 * outward - 1);
  return static_cast<float>(bit_cast<double>(bits));
}

ROPE_HOST_DEVICE float fma(float x, float y, float z) {
#if defined(__CUDA_ARCH__)
  // PTX, not __fmaf_rn: that one flushes subnormals under -use_fast_math.
  float result;
  asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(result) : "f"(x), "f"(y), "f"(z));
  return result;
#elif defined(__FMA__) || defined(__aarch64__)
  return __builtin_fmaf(x, y, z);
#else
  return software_fma(x, y, z);
#endif
}

ROPE_HOST_DEVICE float multiply(float x, float y) {
#if defined(__CUDA_ARCH__)
  float result;
  asm("mul.rn.f32 %0, %1, %2;" : "=f"(result) : "f"(x), "f"(y));
  return result;
#else
  return x * y;  // built with -ffp-contract=off
#endif
}

ROPE_HOST_DEVICE float add(float x, float y) {
#if defined(__CUDA_ARCH__)
  float result;
  asm("add.rn.f32 %0, %1, %2;" : "=f"(result) : "f"(x), "f"(y));
  return result;
#else
  return x + y;
#endif
}

// 0 − x: the negation whose zero is always positive.
ROPE_HOST_DEVICE float negate(float x) {
  return add(0.0f, -x);
}

}  // namespace ROPE_TARGET
}  // namespace rope
