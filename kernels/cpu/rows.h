// One head's row in registers: rotated in chunks of two registers a side, the rest of a row through
// a padded copy, so that every element meets the same instructions. For traverse.h.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "../pairing.h"
#include "../rotation.h"
#include "pack.h"

namespace rope {
inline namespace ROPE_TARGET {

// Elements of one chunk, and what angle rows are padded to.
constexpr int32_t kChunk = 2 * Pack::kLanes;
constexpr int32_t kPaddedHalf = kMaxRotaryDim / 2 + kChunk;

// The cosines and sines of one token, in the order in which the chunks of rotate_row want them.
struct AngleRow {
  alignas(64) float cos[kPaddedHalf];
  alignas(64) float sin[kPaddedHalf];
};

template <class Scalar>
inline void rotate_split_chunk(const Scalar* in_x, const Scalar* in_y, Scalar* out_x, Scalar* out_y,
                               const float* cos, const float* sin) {
  Pack x0, x1, y0, y1;
  load_two(in_x, x0, x1);
  load_two(in_y, y0, y1);
  rotate(x0, y0, load_floats(cos), load_floats(sin));
  rotate(x1, y1, load_floats(cos + Pack::kLanes), load_floats(sin + Pack::kLanes));
  store_two(out_x, x0, x1);
  store_two(out_y, y0, y1);
}

// half elements of x at in, half of y behind them.
template <class Scalar>
inline void rotate_row(Split, const Scalar* in, Scalar* out, const AngleRow& angles, int32_t half) {
  int32_t i = 0;
  for (; i + kChunk <= half; i += kChunk) {
    rotate_split_chunk(in + i, in + half + i, out + i, out + half + i, angles.cos + i,
                       angles.sin + i);
  }
  if (i == half) return;
  const size_t rest = static_cast<size_t>(half - i) * sizeof(Scalar);
  Scalar x[kChunk] = {};
  Scalar y[kChunk] = {};
  std::memcpy(x, in + i, rest);
  std::memcpy(y, in + half + i, rest);
  rotate_split_chunk(x, y, x, y, angles.cos + i, angles.sin + i);
  std::memcpy(out + i, x, rest);
  std::memcpy(out + half + i, y, rest);
}

template <class Scalar>
inline void rotate_pairs_chunk(const Scalar* in, Scalar* out, const float* cos, const float* sin) {
  Pack x, y;
  load_pairs(in, x, y);
  rotate(x, y, load_floats(cos), load_floats(sin));
  store_pairs(out, x, y);
}

// half pairs (x, y).
template <class Scalar>
inline void rotate_row(Interleaved, const Scalar* in, Scalar* out, const AngleRow& angles,
                       int32_t half) {
  int32_t i = 0;
  for (; i + Pack::kLanes <= half; i += Pack::kLanes) {
    rotate_pairs_chunk(in + 2 * i, out + 2 * i, angles.cos + i, angles.sin + i);
  }
  if (i == half) return;
  const size_t rest = static_cast<size_t>(2 * (half - i)) * sizeof(Scalar);
  Scalar pairs[kChunk] = {};
  std::memcpy(pairs, in + 2 * i, rest);
  rotate_pairs_chunk(pairs, pairs, angles.cos + i, angles.sin + i);
  std::memcpy(out + 2 * i, pairs, rest);
}

// Gives the lanes behind the last pair a value; what comes of them is thrown away.
inline void pad(AngleRow& angles, int32_t half) {
  for (int32_t i = half; i < half + kChunk; ++i) angles.cos[i] = angles.sin[i] = 0.0f;
}

// From the natural order of the pairs to that of rotate_row; padded first.
template <class Scalar, class Pairs>
inline void arrange(AngleRow& angles, int32_t half) {
  if constexpr (kHalvesAreEvenOdd<Scalar> && Pairs::kPairing == Pairing::kSplit) {
    for (int32_t i = 0; i < half; i += kChunk) {
      for (float* row : {angles.cos + i, angles.sin + i}) {
        Pack first = load_floats(row);
        Pack second = load_floats(row + Pack::kLanes);
        deinterleave(first, second);
        store_floats(row, first);
        store_floats(row + Pack::kLanes, second);
      }
    }
  }
}

}  // namespace ROPE_TARGET
}  // namespace rope
