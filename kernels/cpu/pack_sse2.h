// A register of 4 floats: SSE2, what every x86-64 has. Included by pack.h alone.
// Without a fused operation: products in double, which are exact there.
#pragma once

#include <emmintrin.h>

#include "../scalar.h"

namespace rope {
inline namespace ROPE_TARGET {

struct Pack {
  static constexpr int kLanes = 4;
  static constexpr int kMostHeld = 1;
  static constexpr int kMostWhole = 2;
  __m128 lanes;
};

inline Pack load_one(const float* address) {
  return {_mm_loadu_ps(address)};
}
inline void store_one(float* address, const Pack& pack) {
  _mm_storeu_ps(address, pack.lanes);
}
inline Pack multiply(const Pack& x, const Pack& y) {
  return {_mm_mul_ps(x.lanes, y.lanes)};
}
inline Pack operator-(const Pack& x) {
  return {_mm_xor_ps(x.lanes, _mm_set1_ps(-0.0f))};
}

inline __m128i select(__m128i mask, __m128i yes, __m128i no) {
  return _mm_or_si128(_mm_and_si128(mask, yes), _mm_andnot_si128(mask, no));
}

struct Doubles {
  __m128d low;
  __m128d high;
};

inline Doubles widen(__m128 lanes) {
  return {_mm_cvtps_pd(lanes), _mm_cvtps_pd(_mm_movehl_ps(lanes, lanes))};
}
inline __m128 narrow(const Doubles& lanes) {
  return _mm_movelh_ps(_mm_cvtpd_ps(lanes.low), _mm_cvtpd_ps(lanes.high));
}

// product + addend, rounded to odd, as software_fma does it: towards zero where the sum went
// outward, and with an odd last bit where it is inexact.
inline __m128d add_to_odd(__m128d product, __m128d addend) {
  const __m128d zero = _mm_setzero_pd();
  const __m128d sum = _mm_add_pd(product, addend);
  const __m128d part = _mm_sub_pd(sum, product);
  const __m128d error =
      _mm_add_pd(_mm_sub_pd(product, _mm_sub_pd(sum, part)), _mm_sub_pd(addend, part));
  // The error's sign against the sum's. Beside an infinity or a NaN it is a NaN: neither mask.
  const __m128d outward = _mm_xor_pd(error, _mm_and_pd(sum, _mm_set1_pd(-0.0)));
  const __m128d too_large = _mm_cmplt_pd(outward, zero);
  const __m128d inexact = _mm_or_pd(too_large, _mm_cmpgt_pd(outward, zero));
  const __m128i truncated = _mm_add_epi64(_mm_castpd_si128(sum), _mm_castpd_si128(too_large));
  return _mm_castsi128_pd(_mm_or_si128(truncated, _mm_srli_epi64(_mm_castpd_si128(inexact), 63)));
}

// Out of line: rare, and too long for each place.
[[gnu::noinline, gnu::cold]] inline __m128 add_and_round_once(const Doubles& product,
                                                              const Doubles& addend) {
  return narrow({add_to_odd(product.low, addend.low), add_to_odd(product.high, addend.high)});
}

// As software_fma: the exact way is for sums half-way between two floats, and for tiny ones.
inline Pack fma(const Pack& x, const Pack& y, const Pack& z) {
  const Doubles a = widen(x.lanes);
  const Doubles b = widen(y.lanes);
  const Doubles addend = widen(z.lanes);
  const Doubles product = {_mm_mul_pd(a.low, b.low), _mm_mul_pd(a.high, b.high)};
  const Doubles sum = {_mm_add_pd(product.low, addend.low), _mm_add_pd(product.high, addend.high)};
  const __m128 rounded = narrow(sum);
  const __m128i last = _mm_castps_si128(
      _mm_shuffle_ps(_mm_castpd_ps(sum.low), _mm_castpd_ps(sum.high), _MM_SHUFFLE(2, 0, 2, 0)));
  const __m128i half_way =
      _mm_cmpeq_epi32(_mm_and_si128(last, _mm_set1_epi32(0x1fffffff)), _mm_set1_epi32(0x10000000));
  const __m128i magnitude = _mm_and_si128(_mm_castps_si128(rounded), _mm_set1_epi32(0x7fffffff));
  const __m128i tiny = _mm_cmplt_epi32(magnitude, _mm_set1_epi32(0x00800001));
  if (_mm_movemask_epi8(_mm_or_si128(half_way, tiny)) != 0) {
    return {add_and_round_once(product, addend)};
  }
  return {rounded};
}

// The even and the odd elements of (first, second), and back.
inline void deinterleave(Pack& first, Pack& second) {
  const __m128 even = _mm_shuffle_ps(first.lanes, second.lanes, _MM_SHUFFLE(2, 0, 2, 0));
  second.lanes = _mm_shuffle_ps(first.lanes, second.lanes, _MM_SHUFFLE(3, 1, 3, 1));
  first.lanes = even;
}
inline void interleave(Pack& even, Pack& odd) {
  const __m128 first = _mm_unpacklo_ps(even.lanes, odd.lanes);
  odd.lanes = _mm_unpackhi_ps(even.lanes, odd.lanes);
  even.lanes = first;
}

// (a, b), … → (a, a), … and (b, b), …
inline Pack twice_even(const Pack& pack) {
  return {_mm_shuffle_ps(pack.lanes, pack.lanes, _MM_SHUFFLE(2, 2, 0, 0))};
}
inline Pack twice_odd(const Pack& pack) {
  return {_mm_shuffle_ps(pack.lanes, pack.lanes, _MM_SHUFFLE(3, 3, 1, 1))};
}
// x·y − z in the even lanes, x·y + z in the odd ones.
inline Pack fma_alternating(const Pack& x, const Pack& y, const Pack& z) {
  return fma(x, y, {_mm_xor_ps(z.lanes, _mm_set_ps(0.0f, -0.0f, 0.0f, -0.0f))});
}

// The conversions of scalar.h, on four lanes.
inline Pack load_one(const Half* address) {
  constexpr int32_t kRebias = 112 << 23;  // from exponent bias 15 to 127; for infinity twice
  const __m128i words = _mm_unpacklo_epi16(
      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(address)), _mm_setzero_si128());
  const __m128i magnitude = _mm_and_si128(words, _mm_set1_epi32(0x7fff));
  const __m128i sign = _mm_slli_epi32(_mm_xor_si128(words, magnitude), 16);
  const __m128i subnormal =
      _mm_castps_si128(_mm_mul_ps(_mm_cvtepi32_ps(magnitude), _mm_set1_ps(0x1p-24f)));
  const __m128i normal = _mm_add_epi32(_mm_slli_epi32(magnitude, 13), _mm_set1_epi32(kRebias));
  const __m128i not_finite = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7bff));
  const __m128i large = _mm_add_epi32(normal, _mm_and_si128(not_finite, _mm_set1_epi32(kRebias)));
  const __m128i is_subnormal = _mm_cmplt_epi32(magnitude, _mm_set1_epi32(0x0400));
  return {_mm_castsi128_ps(_mm_or_si128(sign, select(is_subnormal, subnormal, large)))};
}
inline void store_one(Half* address, const Pack& pack) {
  const __m128i bits = _mm_castps_si128(pack.lanes);
  const __m128i magnitude = _mm_and_si128(bits, _mm_set1_epi32(0x7fffffff));
  const __m128i sign = _mm_xor_si128(bits, magnitude);
  const __m128i is_small = _mm_cmplt_epi32(magnitude, _mm_set1_epi32(0x38800000));
  const __m128 shifted =
      _mm_add_ps(_mm_castsi128_ps(_mm_and_si128(is_small, magnitude)), _mm_set1_ps(0.5f));
  const __m128i subnormal = _mm_sub_epi32(_mm_castps_si128(shifted), _mm_set1_epi32(0x3f000000));
  const __m128i last = _mm_and_si128(_mm_srli_epi32(magnitude, 13), _mm_set1_epi32(1));
  const __m128i rebiased = _mm_add_epi32(magnitude, _mm_set1_epi32(0x0fff - (112 << 23)));
  const __m128i normal = _mm_srli_epi32(_mm_add_epi32(rebiased, last), 13);
  const __m128i is_nan = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7f800000));
  const __m128i overflow =
      _mm_or_si128(_mm_set1_epi32(0x7c00), _mm_and_si128(is_nan, _mm_set1_epi32(0x03ff)));
  const __m128i is_finite = _mm_cmplt_epi32(magnitude, _mm_set1_epi32(0x477ff000));
  const __m128i result = select(is_finite, select(is_small, subnormal, normal), overflow);
  // The pack saturates signed words: the sign goes in as one.
  const __m128i words = _mm_or_si128(_mm_srai_epi32(sign, 16), result);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(address), _mm_packs_epi32(words, words));
}

inline void load_even_odd(const BFloat16* address, Pack& even, Pack& odd) {
  const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(address));
  even.lanes = _mm_castsi128_ps(_mm_slli_epi32(words, 16));
  odd.lanes = _mm_castsi128_ps(_mm_and_si128(words, _mm_set1_epi32(~0xffff)));
}

// The float's bits, those of a NaN always the same, which rounding keeps.
inline __m128i with_one_nan(__m128 lanes) {
  const __m128i is_nan = _mm_castps_si128(_mm_cmpunord_ps(lanes, lanes));
  return select(is_nan, _mm_set1_epi32(0x7fff0000), _mm_castps_si128(lanes));
}

// As in pack_avx512.h.
inline void store_even_odd(BFloat16* address, const Pack& even, const Pack& odd) {
  __m128i e = _mm_castps_si128(even.lanes);
  __m128i o = _mm_castps_si128(odd.lanes);
  if (_mm_movemask_ps(_mm_cmpunord_ps(even.lanes, odd.lanes)) != 0) {
    e = with_one_nan(even.lanes);
    o = with_one_nan(odd.lanes);
  }
  const __m128i odd_words = _mm_set1_epi32(~0xffff);
  const __m128i upper = select(odd_words, o, _mm_srli_epi32(e, 16));
  const __m128i lower = select(odd_words, _mm_slli_epi32(o, 16), e);
  const __m128i last = _mm_and_si128(upper, _mm_set1_epi16(1));
  const __m128i addend = _mm_or_si128(last, _mm_set1_epi16(0x7ffe));
  const __m128i carry = _mm_srli_epi16(_mm_avg_epu16(lower, addend), 15);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(address), _mm_add_epi16(upper, carry));
}

inline Pack load_one(const BFloat16* address) {
  const __m128i words = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(address));
  return {_mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), words))};
}
inline void store_one(BFloat16* address, const Pack& pack) {
  const __m128i bits = with_one_nan(pack.lanes);
  const __m128i last = _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(1));
  const __m128i rounded = _mm_add_epi32(bits, _mm_add_epi32(last, _mm_set1_epi32(0x7fff)));
  const __m128i words = _mm_srai_epi32(rounded, 16);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(address), _mm_packs_epi32(words, words));
}

}  // namespace ROPE_TARGET
}  // namespace rope
