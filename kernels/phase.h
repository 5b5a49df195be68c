// Frequency → 64-bit turns, position × turns → phase, phase → cosine and sine.
// The only place that makes them: for the CPU, for CUDA and for tables.
#pragma once

#include <cstdint>

#include <rope/params.h>

#include "ieee.h"

namespace rope {

struct CosSin {
  float cos;
  float sin;
};

inline namespace ROPE_TARGET {

// Made by scripts/phase_coefficients.py: minimax on a quarter of a turn, |t| ≤ 1/8, z = t².
//   sin 2πt = 2π·t + t·z·S(z)        S within 2^-37 of the sine
//   cos 2πt = 1 − 2π²·z + z²·C(z)    C within 2^-43
constexpr float kTwoPiHigh = 0x1.921fb6p+2f;
constexpr float kTwoPiLow = -0x1.777a5cp-23f;
constexpr float kTwoPiSquaredHigh = 0x1.3bd3ccp+4f;
constexpr float kTwoPiSquaredLow = 0x1.37c8bcp-21f;
constexpr float kSin0 = -0x1.4abbcep+5f;
constexpr float kSin1 = 0x1.466bbcp+6f;
constexpr float kSin2 = -0x1.32cb0ep+6f;
constexpr float kSin3 = 0x1.4be09ep+5f;
constexpr float kCos0 = 0x1.03c1fp+6f;
constexpr float kCos1 = -0x1.55d3cp+6f;
constexpr float kCos2 = 0x1.e1eabep+5f;
constexpr float kCos3 = -0x1.a17ea8p+4f;

// sin and cos of (head + tail) turns, head a 25-bit multiple of 2^-27, |head| ≤ 1/8 and tail below
// 2^-27: what head squared loses and all that tail contributes is carried to first order.
ROPE_HOST_DEVICE CosSin cos_sin_of_eighth(float head, float tail) {
  const float z = multiply(head, head);
  const float one_minus = fma(-kTwoPiSquaredHigh, z, 1.0f);

  const float s = fma(z, fma(z, fma(z, kSin3, kSin2), kSin1), kSin0);
  float low = fma(multiply(tail, kTwoPiHigh), one_minus, multiply(head, kTwoPiLow));
  low = fma(multiply(head, z), s, low);
  const float sine = fma(head, kTwoPiHigh, low);

  const float c = fma(z, fma(z, fma(z, kCos3, kCos2), kCos1), kCos0);
  const float square_low = fma(add(head, head), tail, fma(head, head, -z));
  low = fma(-kTwoPiSquaredHigh, z, add(1.0f, -one_minus));
  low = fma(multiply(z, z), c, low);
  low = fma(-kTwoPiSquaredLow, z, low);
  low = fma(-kTwoPiSquaredHigh, square_low, low);
  return {add(one_minus, low), sine};
}

// cos and sin of phase · 2^-64 turns, within 0.75 · 2^-24. A negated phase gives the same cosine
// and exactly the negated sine; a zero is positive. No branches, so that a loop of these
// vectorises.
ROPE_HOST_DEVICE CosSin cos_sin(uint64_t phase) {
  const bool negative = (phase >> 63) != 0;
  const uint64_t magnitude = negative ? uint64_t{0} - phase : phase;
  const uint32_t high = static_cast<uint32_t>(magnitude >> 32);
  const uint32_t low = static_cast<uint32_t>(magnitude);

  // The nearest quarter turn (0, 1 or 2), and what is left: 62 bits and a sign, which a shift by
  // the two bits of the quarters leaves, read as the leading 32 bits (2^-34 turns) and the 30 below
  // them.
  const uint32_t quarter = (high + 0x20000000u) >> 30;
  const int32_t rest = static_cast<int32_t>((high << 2) | (low >> 30));
  const float head = multiply(static_cast<float>(rest & ~127), 0x1p-34f);
  const float below =
      multiply(static_cast<float>(static_cast<int32_t>(low & 0x3fffffffu)), 0x1p-30f);
  const float tail = multiply(add(static_cast<float>(rest & 127), below), 0x1p-34f);

  const CosSin near = cos_sin_of_eighth(head, tail);
  const float minus_sin = negate(near.sin);
  const float minus_cos = negate(near.cos);
  const float cosine = quarter == 0 ? near.cos : quarter == 1 ? minus_sin : minus_cos;
  const float sine = quarter == 0 ? near.sin : quarter == 1 ? near.cos : minus_sin;
  return {cosine, negative ? negate(sine) : sine};
}

// Word i of 1/2π in binary, the first holding 2^-1 … 2^-64; 0 outside.
ROPE_HOST_DEVICE uint64_t inverse_two_pi(int i) {
  static constexpr uint64_t kInverseTwoPi[20] = {
      0x28be60db9391054a, 0x7f09d5f47d4d3770, 0x36d8a5664f10e410, 0x7f9458eaf7aef158,
      0x6dc91b8e909374b8, 0x01924bba82746487, 0x3f877ac72c4a69cf, 0xba208d7d4baed121,
      0x3a671c09ad17df90, 0x4e64758e60d4ce7d, 0x272117e2ef7e4a0e, 0xc7fe25fff7816603,
      0xfbcbc462d6829b47, 0xdb4d9fb3c9f2c26d, 0xd3d18fd9a797fa8b, 0x5d49eeb1faf97c5e,
      0xcf41ce7de294a4ba, 0x9afed7ec47e35742, 0x1580cc11bf1edaea, 0xfc33ef0826bd0d87,
  };
  return i >= 0 && i < 20 ? kInverseTwoPi[i] : 0;
}

// round(f / 2π · 2^64) mod 2^64, exact: f is mantissa · 2^exponent, the product an integer
// multiplication. Of 1/2π it takes the 320 bits that matter: 64 above the point of the result, and
// so many below that what is left out is under 2^-128 of its unit. f/2π is never half-way between
// two results, since π is irrational, and no float64 comes nearer to half-way than 2^-70.
ROPE_HOST_DEVICE uint64_t turns_of(double inv_freq) {
  const uint64_t bits = bit_cast<uint64_t>(inv_freq);
  const int biased = static_cast<int>((bits >> 52) & 0x7ff);
  if (biased == 0x7ff) return kInvalidTurns;
  const uint64_t fraction = bits & 0xfffffffffffff;
  const uint64_t mantissa = biased == 0 ? fraction : fraction | 0x10000000000000;
  const int exponent = (biased == 0 ? 1 : biased) - 1075;

  // With 1/2π read as an integer times 2^-1280, bit `unit` of the product is the result's lowest.
  const int unit = 1280 - 64 - exponent;
  const int lowest_word = (unit - 192) / 64;
  const int shift = (unit - 192) % 64;
  uint64_t product[5];
  uint64_t carry = 0;
  for (int i = 0; i < 5; ++i) {
    const unsigned __int128 wide =
        static_cast<unsigned __int128>(mantissa) * inverse_two_pi(19 - lowest_word - i) + carry;
    product[i] = static_cast<uint64_t>(wide);
    carry = static_cast<uint64_t>(wide >> 64);
  }
  const uint64_t above = shift == 0 ? 0 : product[4] << (64 - shift);
  const uint64_t whole = (product[3] >> shift) | above;
  const uint64_t half = shift == 0 ? product[2] >> 63 : (product[3] >> (shift - 1)) & 1;
  const uint64_t turns = whole + half;
  return bits >> 63 ? uint64_t{0} - turns : turns;
}

}  // namespace ROPE_TARGET
}  // namespace rope
