// Pack: a register of floats of the instruction set this file is compiled for, and the loads and
// stores of two registers of each data type. Arithmetic on it is rotation.h's. For rows.h.
//   kMostHeld                how many of cosines, and of sines, may stay in registers beside data
//   kMostWhole               registers of the longest row that is rotated without a loop: 0.45
//   against
//                            0.56 µs a token of 40 float32 heads of 128 in the first-level cache
//                            (x86-64-v3; Xeon, Sapphire Rapids)
//   load_one, store_one      kLanes adjacent elements
//   load_some, store_some    the first 1 … kLanes of them; what lies behind is not touched
//   load_two, store_two      2 · kLanes adjacent elements, in the order that kHalvesAreEvenOdd says
#pragma once

#include <cstdint>
#include <cstring>

#include "../scalar.h"

#if defined(__AVX512F__) && defined(__AVX512BW__)
#include "pack_avx512.h"
#elif defined(__AVX2__)
#include "pack_avx2.h"
#elif defined(__SSE2__) && !defined(ROPE_GENERIC_PACK)
#include "pack_sse2.h"
#else
#include "pack_generic.h"
#endif

namespace rope {
inline namespace ROPE_TARGET {

// load_two yields the even and the odd elements instead of the first and the second half: two
// bfloat16 in a 32-bit word become floats by a shift and a mask, without a permutation.
template <class Scalar>
constexpr bool kHalvesAreEvenOdd = kDtypeOf<Scalar> == Dtype::kBFloat16;

template <class Scalar>
inline void load_two(const Scalar* address, Pack& first, Pack& second) {
  if constexpr (kHalvesAreEvenOdd<Scalar>) {
    load_even_odd(address, first, second);
  } else {
    first = load_one(address);
    second = load_one(address + Pack::kLanes);
  }
}
template <class Scalar>
inline void store_two(Scalar* address, const Pack& first, const Pack& second) {
  if constexpr (kHalvesAreEvenOdd<Scalar>) {
    store_even_odd(address, first, second);
  } else {
    store_one(address, first);
    store_one(address + Pack::kLanes, second);
  }
}

#if !defined(__AVX512F__)
// Without masks: through a copy.
template <class Scalar>
inline Pack load_some(const Scalar* address, int32_t count) {
  if (count == Pack::kLanes) return load_one(address);
  Scalar copy[Pack::kLanes] = {};
  std::memcpy(copy, address, static_cast<size_t>(count) * sizeof(Scalar));
  return load_one(copy);
}
template <class Scalar>
inline void store_some(Scalar* address, const Pack& pack, int32_t count) {
  if (count == Pack::kLanes) return store_one(address, pack);
  Scalar copy[Pack::kLanes];
  store_one(copy, pack);
  std::memcpy(address, copy, static_cast<size_t>(count) * sizeof(Scalar));
}
#endif

}  // namespace ROPE_TARGET
}  // namespace rope
