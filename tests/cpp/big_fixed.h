// 1/2π to some 1,400 bits, from Machin's formula in schoolbook arithmetic, and what it says of a
// frequency's turns. Shares neither code nor constants with kernels/phase.h, which it judges.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace rope::test {

// A number as 32-bit words, the most significant first. The caller knows where the point is.
using Words = std::vector<uint32_t>;

inline Words divided(const Words& number, uint32_t divisor) {
  Words quotient(number.size());
  uint64_t remainder = 0;
  for (size_t i = 0; i < number.size(); ++i) {
    const uint64_t part = remainder << 32 | number[i];
    quotient[i] = static_cast<uint32_t>(part / divisor);
    remainder = part % divisor;
  }
  return quotient;
}

inline Words times(const Words& number, uint32_t factor) {
  Words product(number.size());
  uint64_t carry = 0;
  for (size_t i = number.size(); i-- > 0;) {
    carry += uint64_t{number[i]} * factor;
    product[i] = static_cast<uint32_t>(carry);
    carry >>= 32;
  }
  return product;
}

inline Words sum(const Words& a, const Words& b) {
  Words result(a.size());
  uint64_t carry = 0;
  for (size_t i = a.size(); i-- > 0;) {
    carry += uint64_t{a[i]} + b[i];
    result[i] = static_cast<uint32_t>(carry);
    carry >>= 32;
  }
  return result;
}

// a − b modulo one above a's first word.
inline Words difference(const Words& a, const Words& b) {
  Words complement(b.size());
  for (size_t i = 0; i < b.size(); ++i) complement[i] = ~b[i];
  Words one(b.size());
  one.back() = 1;
  return sum(a, sum(complement, one));
}

// arctan(1/x) = Σ (−1)^k / ((2k + 1)·x^(2k + 1)); the first word is the integer part.
inline Words arctan_of_inverse(uint32_t x, size_t words) {
  Words one(words);
  one[0] = 1;
  Words power = divided(one, x);
  Words result = power;
  const auto bits_per_term = 2 * static_cast<size_t>(std::ilogb(static_cast<double>(x)));
  for (uint32_t k = 1; k * bits_per_term < 32 * words; ++k) {
    power = divided(divided(power, x), x);
    const Words term = divided(power, 2 * k + 1);
    result = k % 2 == 0 ? sum(result, term) : difference(result, term);
  }
  return result;
}

// The fraction of 1/2π: the first word holds 2^-1 … 2^-32. Long division, a bit at a time; the
// last word is uncertain.
inline Words inverse_two_pi_words(size_t words) {
  const Words fifth = times(arctan_of_inverse(5, words + 2), 32);
  const Words two_pi = difference(fifth, times(arctan_of_inverse(239, words + 2), 8));
  Words remainder(words + 2);
  remainder[0] = 1;
  Words quotient(words);
  for (size_t bit = 0; bit < 32 * words; ++bit) {
    remainder = sum(remainder, remainder);
    if (remainder >= two_pi) {
      remainder = difference(remainder, two_pi);
      quotient[bit / 32] |= 0x80000000u >> (bit % 32);
    }
  }
  return quotient;
}

// round(f / 2π · 2^64) mod 2^64 for a finite float64.
inline uint64_t exact_turns(double inv_freq) {
  constexpr size_t kWords = 44;
  constexpr int kBits = 32 * static_cast<int>(kWords);
  static const Words inverse = inverse_two_pi_words(kWords);
  if (inv_freq == 0) return 0;

  // |f| = mantissa · 2^exponent; the product, two words longer, counts units of 2^-kBits turns.
  const int exponent = std::ilogb(inv_freq) - 52;
  const auto mantissa = static_cast<uint64_t>(std::ldexp(std::fabs(inv_freq), -exponent));
  Words padded(2);
  padded.insert(padded.end(), inverse.begin(), inverse.end());
  Words high = times(padded, static_cast<uint32_t>(mantissa >> 32));
  high.erase(high.begin());  // one word up
  high.push_back(0);
  const Words product = sum(high, times(padded, static_cast<uint32_t>(mantissa)));

  const auto bit = [&](int i) {  // from the least significant one
    if (i < 0 || i >= 32 * static_cast<int>(product.size())) return uint64_t{0};
    const size_t word = product.size() - 1 - static_cast<size_t>(i / 32);
    return uint64_t{product[word] >> (i % 32) & 1};
  };
  const int unit = kBits - 64 - exponent;
  uint64_t turns = bit(unit - 1);
  for (int i = 0; i < 64; ++i) turns += bit(unit + i) << i;
  return inv_freq < 0 ? uint64_t{0} - turns : turns;
}

}  // namespace rope::test
