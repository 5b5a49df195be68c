// The three data types and their conversions: exact to float, back rounded to nearest even.
// For every backend; on the device each conversion is one instruction.
#pragma once

#include <cstdint>

#include <rope/params.h>

#include "ieee.h"

namespace rope {

struct Half {
  uint16_t bits;
};

struct BFloat16 {
  uint16_t bits;
};

template <class Scalar>
constexpr Dtype kDtypeOf = Dtype::kFloat32;
template <>
inline constexpr Dtype kDtypeOf<Half> = Dtype::kFloat16;
template <>
inline constexpr Dtype kDtypeOf<BFloat16> = Dtype::kBFloat16;

constexpr int32_t size_of(Dtype dtype) {
  return dtype == Dtype::kFloat32 ? 4 : 2;
}

inline namespace ROPE_TARGET {

ROPE_HOST_DEVICE float to_float(float value) {
  return value;
}

ROPE_HOST_DEVICE float to_float(BFloat16 value) {
  return bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}

ROPE_HOST_DEVICE float to_float(Half value) {
#if defined(__CUDA_ARCH__)
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
#else
  const uint32_t magnitude = value.bits & 0x7fffu;
  const uint32_t sign = (value.bits & 0x8000u) << 16;
  const uint32_t subnormal = bit_cast<uint32_t>(static_cast<float>(magnitude) * 0x1p-24f);
  const uint32_t normal = (magnitude << 13) + (112u << 23);  // exponent bias 15 becomes 127
  const uint32_t nan_quiet = magnitude > 0x7c00u ? 1u << 22 : 0u;
  const uint32_t special = (magnitude << 13) | 0x7f800000u | nan_quiet;
  const uint32_t finite = magnitude < 0x0400u ? subnormal : normal;
  return bit_cast<float>(sign | (magnitude < 0x7c00u ? finite : special));
#endif
}

template <class Scalar>
ROPE_HOST_DEVICE Scalar from_float(float value);

template <>
ROPE_HOST_DEVICE float from_float<float>(float value) {
  return value;
}

// A NaN stays a NaN; its payload is the instruction's affair.
template <>
ROPE_HOST_DEVICE BFloat16 from_float<BFloat16>(float value) {
#if defined(__CUDA_ARCH__)
  BFloat16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
#else
  const uint32_t bits = bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return {static_cast<uint16_t>(is_nan ? 0x7fffu : rounded)};
#endif
}

template <>
ROPE_HOST_DEVICE Half from_float<Half>(float value) {
#if defined(__CUDA_ARCH__)
  Half result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
#else
  const uint32_t bits = bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  // In [0.5, 1) a float's last place is 2^-24, the smallest half: the addition rounds for us.
  const float shifted = bit_cast<float>(magnitude < 0x38800000u ? magnitude : 0u) + 0.5f;
  const uint32_t subnormal = bit_cast<uint32_t>(shifted) - 0x3f000000u;
  const uint32_t normal = (magnitude + 0x0fffu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
  const uint32_t finite = magnitude < 0x38800000u ? subnormal : normal;  // below 2^-14
  const uint32_t overflow = magnitude > 0x7f800000u ? 0x7fffu : 0x7c00u;
  const uint32_t result = magnitude < 0x477ff000u ? finite : overflow;  // 65520 rounds to infinity
  return {static_cast<uint16_t>(sign | result)};
#endif
}

}  // namespace ROPE_TARGET
}  // namespace rope
