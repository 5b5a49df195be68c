// A register of 16 floats: AVX-512 F, BW, DQ and VL (x86-64-v4). Included by pack.h alone.
#pragma once

#include <immintrin.h>

#include "../scalar.h"

namespace rope {
inline namespace ROPE_TARGET {

struct Pack {
  static constexpr int kLanes = 16;
  static constexpr int kMostHeld = 8;
  static constexpr int kMostWhole = 16;
  __m512 lanes;
};

inline Pack load_one(const float* address) {
  return {_mm512_loadu_ps(address)};
}
inline void store_one(float* address, const Pack& pack) {
  _mm512_storeu_ps(address, pack.lanes);
}
inline Pack fma(const Pack& x, const Pack& y, const Pack& z) {
  return {_mm512_fmadd_ps(x.lanes, y.lanes, z.lanes)};
}
inline Pack multiply(const Pack& x, const Pack& y) {
  return {_mm512_mul_ps(x.lanes, y.lanes)};
}
inline Pack operator-(const Pack& x) {
  return {_mm512_xor_ps(x.lanes, _mm512_set1_ps(-0.0f))};
}

// The even and the odd elements of (first, second), and back.
inline void deinterleave(Pack& first, Pack& second) {
  const __m512i even_index =
      _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i odd_index = _mm512_add_epi32(even_index, _mm512_set1_epi32(1));
  const __m512 even = _mm512_permutex2var_ps(first.lanes, even_index, second.lanes);
  const __m512 odd = _mm512_permutex2var_ps(first.lanes, odd_index, second.lanes);
  first.lanes = even;
  second.lanes = odd;
}
inline void interleave(Pack& even, Pack& odd) {
  const __m512i first_index =
      _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i second_index = _mm512_add_epi32(first_index, _mm512_set1_epi32(8));
  const __m512 first = _mm512_permutex2var_ps(even.lanes, first_index, odd.lanes);
  const __m512 second = _mm512_permutex2var_ps(even.lanes, second_index, odd.lanes);
  even.lanes = first;
  odd.lanes = second;
}

// (a, b), … → (a, a), … and (b, b), …
inline Pack twice_even(const Pack& pack) {
  return {_mm512_moveldup_ps(pack.lanes)};
}
inline Pack twice_odd(const Pack& pack) {
  return {_mm512_movehdup_ps(pack.lanes)};
}
// x·y − z in the even lanes, x·y + z in the odd ones.
inline Pack fma_alternating(const Pack& x, const Pack& y, const Pack& z) {
  return {_mm512_fmaddsub_ps(x.lanes, y.lanes, z.lanes)};
}

inline Pack load_one(const Half* address) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(address)))};
}
inline void store_one(Half* address, const Pack& pack) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(address),
                      _mm512_cvtps_ph(pack.lanes, _MM_FROUND_TO_NEAREST_INT));
}

inline void load_even_odd(const BFloat16* address, Pack& even, Pack& odd) {
  const __m512i words = _mm512_loadu_si512(address);
  even.lanes = _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
  odd.lanes = _mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(~0xffff)));
}

// The float's bits, those of a NaN always the same, which rounding keeps.
inline __m512i with_one_nan(__m512 lanes) {
  const __mmask16 is_nan = _mm512_cmp_ps_mask(lanes, lanes, _CMP_UNORD_Q);
  return _mm512_mask_mov_epi32(_mm512_castps_si512(lanes), is_nan, _mm512_set1_epi32(0x7fff0000));
}

// The float's bits, rounded to nearest even in the upper half. Not VCVTNEPS2BF16: that instruction
// flushes subnormals.
inline __m512i round_to_upper_half(__m512 lanes) {
  const __m512i bits = with_one_nan(lanes);
  const __m512i last = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  return _mm512_add_epi32(bits, _mm512_add_epi32(last, _mm512_set1_epi32(0x7fff)));
}

// The upper halves of 32 floats and their lower ones, in the order of memory: an upper half grows
// by the carry of lower + 0x7fff + its own last bit, which the average of 16-bit words (a + b + 1)
// / 2 has as its highest bit. One branch asks for NaN: 0.70 µs a token of 40 heads of 128 in the
// first-level cache instead of 0.84 with two registers rounded and masked one by one (Xeon,
// Sapphire Rapids).

inline void store_even_odd(BFloat16* address, const Pack& even, const Pack& odd) {
  __m512i e = _mm512_castps_si512(even.lanes);
  __m512i o = _mm512_castps_si512(odd.lanes);
  if (_mm512_cmp_ps_mask(even.lanes, odd.lanes, _CMP_UNORD_Q) != 0) {
    e = with_one_nan(even.lanes);
    o = with_one_nan(odd.lanes);
  }
  constexpr __mmask32 kOdd = 0xaaaaaaaau;
  constexpr int kFirstAndSecondOrThird = 0xea;
  const __m512i upper = _mm512_mask_blend_epi16(kOdd, _mm512_srli_epi32(e, 16), o);
  const __m512i lower = _mm512_mask_blend_epi16(kOdd, e, _mm512_slli_epi32(o, 16));
  const __m512i addend = _mm512_ternarylogic_epi32(
      upper, _mm512_set1_epi16(1), _mm512_set1_epi16(0x7ffe), kFirstAndSecondOrThird);
  const __m512i carry = _mm512_srli_epi16(_mm512_avg_epu16(lower, addend), 15);
  _mm512_storeu_si512(address, _mm512_add_epi16(upper, carry));
}

// The lanes below count; masked, so that what lies behind them is not touched.
inline __mmask16 lanes_below(int32_t count) {
  return static_cast<__mmask16>((1u << count) - 1);
}
inline Pack load_some(const float* address, int32_t count) {
  if (count == Pack::kLanes) return load_one(address);
  return {_mm512_maskz_loadu_ps(lanes_below(count), address)};
}
inline void store_some(float* address, const Pack& pack, int32_t count) {
  if (count == Pack::kLanes) return store_one(address, pack);
  _mm512_mask_storeu_ps(address, lanes_below(count), pack.lanes);
}
inline Pack load_some(const Half* address, int32_t count) {
  if (count == Pack::kLanes) return load_one(address);
  return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes_below(count), address))};
}
inline void store_some(Half* address, const Pack& pack, int32_t count) {
  if (count == Pack::kLanes) return store_one(address, pack);
  _mm256_mask_storeu_epi16(address, lanes_below(count),
                           _mm512_cvtps_ph(pack.lanes, _MM_FROUND_TO_NEAREST_INT));
}
inline Pack load_some(const BFloat16* address, int32_t count) {
  const __m256i words = _mm256_maskz_loadu_epi16(lanes_below(count), address);
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16))};
}
inline void store_some(BFloat16* address, const Pack& pack, int32_t count) {
  const __m512i words = _mm512_srli_epi32(round_to_upper_half(pack.lanes), 16);
  _mm256_mask_storeu_epi16(address, lanes_below(count), _mm512_cvtepi32_epi16(words));
}

}  // namespace ROPE_TARGET
}  // namespace rope
