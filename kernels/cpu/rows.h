// One head's row in registers: rotated in chunks of two registers a side, the rest of a row in
// single, partly filled ones. For traverse.h.
#pragma once

#include <algorithm>
#include <cstdint>
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
  rotate(x0, y0, load_one(cos), load_one(sin));
  rotate(x1, y1, load_one(cos + Pack::kLanes), load_one(sin + Pack::kLanes));
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
  for (; i < half; i += Pack::kLanes) {
    const int32_t count = std::min(half - i, Pack::kLanes);
    Pack x = load_some(in + i, count);
    Pack y = load_some(in + half + i, count);
    rotate(x, y, load_one(angles.cos + i), load_one(angles.sin + i));
    store_some(out + i, x, count);
    store_some(out + half + i, y, count);
  }
}

template <class Scalar>
inline void rotate_pairs_chunk(const Scalar* in, Scalar* out, const float* cos, const float* sin) {
  Pack x, y;
  load_pairs(in, x, y);
  rotate(x, y, load_one(cos), load_one(sin));
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
  const int32_t count = 2 * (half - i);
  const int32_t behind = std::max(count - Pack::kLanes, 0);
  Pack x = load_some(in + 2 * i, count - behind);
  Pack y = {};
  if (behind > 0) y = load_some(in + 2 * i + Pack::kLanes, behind);
  deinterleave(x, y);
  rotate(x, y, load_one(angles.cos + i), load_one(angles.sin + i));
  interleave(x, y);
  store_some(out + 2 * i, x, count - behind);
  if (behind > 0) store_some(out + 2 * i + Pack::kLanes, y, behind);
}

// Gives the lanes behind the last pair a value; what comes of them is thrown away.
inline void pad(AngleRow& angles, int32_t half) {
  for (int32_t i = half; i < half + kChunk; ++i) angles.cos[i] = angles.sin[i] = 0.0f;
}

// From the natural order of the pairs to that of rotate_row, which the rest of a row keeps.
template <class Scalar, class Pairs>
inline void arrange(AngleRow& angles, int32_t half) {
  if constexpr (kHalvesAreEvenOdd<Scalar> && Pairs::kPairing == Pairing::kSplit) {
    for (int32_t i = 0; i + kChunk <= half; i += kChunk) {
      for (float* row : {angles.cos + i, angles.sin + i}) {
        Pack first = load_one(row);
        Pack second = load_one(row + Pack::kLanes);
        deinterleave(first, second);
        store_one(row, first);
        store_one(row + Pack::kLanes, second);
      }
    }
  }
}

}  // namespace ROPE_TARGET
}  // namespace rope
