// Random integers, and numbers made of them, by integer arithmetic alone: any compiler, any C
// library and tests/python/test_golden.py make the same. For the call*.cpp files and the tests of
// same bits.
#pragma once

#include <cstdint>

#include "formats.h"

namespace rope::test {

// What a stream is for; each has its own, so that none depends on how much another gave.
enum class Purpose : uint64_t {
  kPadding = 0,
  kQ,
  kK,
  kTurns,
  kCos,
  kSin,
  kGaps,
  kFrequency,
  kAxis
};

// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
class Stream {
 public:
  // number tells streams of one purpose apart.
  Stream(uint64_t seed, Purpose purpose, uint64_t number = 0)
      : state_(seed << 32 ^ static_cast<uint64_t>(purpose) << 16 ^ number) {}

  uint64_t operator()() {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t mixed = (state_ ^ state_ >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
  }

 private:
  uint64_t state_;
};

// A pattern of a format from 64 random bits: the fraction from the upper half, `exponent` as given,
// the sign from bit 0.
inline uint32_t pattern(Format format, uint64_t random, uint64_t exponent) {
  const uint64_t fraction = (random >> 32) & ((uint64_t{1} << format.fraction_bits) - 1);
  const uint64_t magnitude = exponent << format.fraction_bits | fraction;
  return static_cast<uint32_t>(magnitude) | (random % 2 != 0 ? format.sign() : 0);
}

// Never infinite, never a NaN. Seven in eight lie in 2^-6 … 4; the others are zeros, subnormals, of
// the smallest binade, and of the largest but one: no product with 1.2 times a cosine overflows.
inline uint32_t ordinary_number(Format format, uint64_t random) {
  const auto bias = static_cast<uint64_t>(format.bias());
  if ((random >> 1) % 8 != 0) return pattern(format, random, bias - 6 + (random >> 4) % 8);
  const uint64_t choice = (random >> 4) % 4;
  if (choice == 0) return random % 2 != 0 ? format.sign() : 0;
  return pattern(format, random, choice == 1 ? 0 : (choice == 2 ? 1 : 2 * bias - 1));
}

// At most 1 in magnitude: seven in eight above 2^-4, the others ±0, ±1, subnormal or just above.
inline uint32_t ordinary_cosine(Format format, uint64_t random) {
  const auto bias = static_cast<uint64_t>(format.bias());
  if ((random >> 1) % 8 != 0) return pattern(format, random, bias - 4 + (random >> 4) % 4);
  const uint64_t choice = (random >> 4) % 4;
  const uint64_t sign_alone = random % 2;
  if (choice < 2) return pattern(format, sign_alone, choice * bias);
  return pattern(format, random, choice - 2);
}

}  // namespace rope::test
