// A register of floats for any compiler: loops of a fixed length, which it may vectorise.
// Used without an x86-64-v3 processor: on a baseline x86-64 and on NEON. Included by pack.h alone.
#pragma once

#include "../ieee.h"
#include "../scalar.h"

namespace rope {
inline namespace ROPE_TARGET {

struct Pack {
  static constexpr int kLanes = 8;
  static constexpr int kMostHeld = 2;
  static constexpr int kMostWhole = 2;
  float lanes[kLanes];
};

template <class Function>
ROPE_HOST_DEVICE Pack for_each_lane(Function function) {
  Pack result;
  ROPE_UNROLL
  for (int i = 0; i < Pack::kLanes; ++i) result.lanes[i] = function(i);
  return result;
}

template <class Scalar>
inline Pack load_one(const Scalar* address) {
  return for_each_lane([&](int i) { return to_float(address[i]); });
}
template <class Scalar>
inline void store_one(Scalar* address, const Pack& pack) {
  ROPE_UNROLL
  for (int i = 0; i < Pack::kLanes; ++i) address[i] = from_float<Scalar>(pack.lanes[i]);
}
inline Pack fma(const Pack& x, const Pack& y, const Pack& z) {
  return for_each_lane([&](int i) { return fma(x.lanes[i], y.lanes[i], z.lanes[i]); });
}
inline Pack multiply(const Pack& x, const Pack& y) {
  return for_each_lane([&](int i) { return multiply(x.lanes[i], y.lanes[i]); });
}
inline Pack operator-(const Pack& x) {
  return for_each_lane([&](int i) { return -x.lanes[i]; });
}

// The even and the odd elements of (first, second), and back.
inline void deinterleave(Pack& first, Pack& second) {
  const auto element = [=](int i) {
    return i < Pack::kLanes ? first.lanes[i] : second.lanes[i - Pack::kLanes];
  };
  const Pack even = for_each_lane([&](int i) { return element(2 * i); });
  const Pack odd = for_each_lane([&](int i) { return element(2 * i + 1); });
  first = even;
  second = odd;
}
inline void interleave(Pack& even, Pack& odd) {
  const auto element = [=](int i) { return i % 2 == 0 ? even.lanes[i / 2] : odd.lanes[i / 2]; };
  const Pack first = for_each_lane([&](int i) { return element(i); });
  const Pack second = for_each_lane([&](int i) { return element(Pack::kLanes + i); });
  even = first;
  odd = second;
}

// (a, b), … → (a, a), … and (b, b), …
inline Pack twice_even(const Pack& pack) {
  return for_each_lane([&](int i) { return pack.lanes[i / 2 * 2]; });
}
inline Pack twice_odd(const Pack& pack) {
  return for_each_lane([&](int i) { return pack.lanes[i / 2 * 2 + 1]; });
}
// x·y − z in the even lanes, x·y + z in the odd ones.
inline Pack fma_alternating(const Pack& x, const Pack& y, const Pack& z) {
  return for_each_lane(
      [&](int i) { return fma(x.lanes[i], y.lanes[i], i % 2 == 0 ? -z.lanes[i] : z.lanes[i]); });
}

inline void load_even_odd(const BFloat16* address, Pack& even, Pack& odd) {
  even = for_each_lane([&](int i) { return to_float(address[2 * i]); });
  odd = for_each_lane([&](int i) { return to_float(address[2 * i + 1]); });
}
inline void store_even_odd(BFloat16* address, const Pack& even, const Pack& odd) {
  ROPE_UNROLL
  for (int i = 0; i < Pack::kLanes; ++i) {
    address[2 * i] = from_float<BFloat16>(even.lanes[i]);
    address[2 * i + 1] = from_float<BFloat16>(odd.lanes[i]);
  }
}

}  // namespace ROPE_TARGET
}  // namespace rope
