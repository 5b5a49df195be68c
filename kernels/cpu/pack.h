// Pack: a register of floats of the instruction set this file is compiled for, and the loads and
// stores of two registers of each data type. Arithmetic on it is rotation.h's. For rows.h.
//   load_two, store_two      2 · kLanes adjacent elements, in the order that kHalvesAreEvenOdd says
//   load_pairs, store_pairs  kLanes interleaved pairs, as the register of x and that of y
#pragma once

#include "../scalar.h"

#if defined(__AVX512F__) && defined(__AVX512BW__)
#include "pack_avx512.h"
#elif defined(__AVX2__)
#include "pack_avx2.h"
#else
#include "pack_generic.h"
#endif

namespace rope {
inline namespace ROPE_TARGET {

// load_two yields the even and the odd elements instead of the first and the second half: two
// bfloat16 in a 32-bit word become floats by a shift and a mask, without a permutation.
template <class Scalar>
constexpr bool kHalvesAreEvenOdd = kDtypeOf<Scalar> == Dtype::kBFloat16;

inline void load_two(const float* address, Pack& first, Pack& second) {
  first = load_floats(address);
  second = load_floats(address + Pack::kLanes);
}
inline void store_two(float* address, const Pack& first, const Pack& second) {
  store_floats(address, first);
  store_floats(address + Pack::kLanes, second);
}

inline void load_two(const Half* address, Pack& first, Pack& second) {
  first = load_halves(address);
  second = load_halves(address + Pack::kLanes);
}
inline void store_two(Half* address, const Pack& first, const Pack& second) {
  store_halves(address, first);
  store_halves(address + Pack::kLanes, second);
}

inline void load_two(const BFloat16* address, Pack& even, Pack& odd) {
  load_even_odd(address, even, odd);
}
inline void store_two(BFloat16* address, const Pack& even, const Pack& odd) {
  store_even_odd(address, even, odd);
}

template <class Scalar>
inline void load_pairs(const Scalar* address, Pack& x, Pack& y) {
  load_two(address, x, y);
  if constexpr (!kHalvesAreEvenOdd<Scalar>) deinterleave(x, y);
}
template <class Scalar>
inline void store_pairs(Scalar* address, Pack x, Pack y) {
  if constexpr (!kHalvesAreEvenOdd<Scalar>) interleave(x, y);
  store_two(address, x, y);
}

}  // namespace ROPE_TARGET
}  // namespace rope
