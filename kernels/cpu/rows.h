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

// The cosines and sines of one token, in the order in which the chunks of rotate_row want them; and
// those of the last kLanes pairs in their natural order, where there are as many.
struct AngleRow {
  alignas(64) float cos[kPaddedHalf];
  alignas(64) float sin[kPaddedHalf];
  alignas(64) float last_cos[Pack::kLanes];
  alignas(64) float last_sin[Pack::kLanes];
};

// Two registers of x, two of y.
struct Angles {
  Pack cos[2];
  Pack sin[2];
};

inline Angles load_angles(const AngleRow& angles, int32_t i) {
  return {{load_one(angles.cos + i), load_one(angles.cos + i + Pack::kLanes)},
          {load_one(angles.sin + i), load_one(angles.sin + i + Pack::kLanes)}};
}

template <class Scalar>
inline void rotate_split_chunk(const Scalar* in_x, const Scalar* in_y, Scalar* out_x, Scalar* out_y,
                               const Angles& angles) {
  Pack x0, x1, y0, y1;
  load_two(in_x, x0, x1);
  load_two(in_y, y0, y1);
  rotate(x0, y0, angles.cos[0], angles.sin[0]);
  rotate(x1, y1, angles.cos[1], angles.sin[1]);
  store_two(out_x, x0, x1);
  store_two(out_y, y0, y1);
}

// half elements of x at in, half of y behind them.
template <class Scalar>
inline void rotate_row(Split, const Scalar* in, Scalar* out, const AngleRow& angles, int32_t half) {
  constexpr int32_t kLanes = Pack::kLanes;
  const int32_t rest = half % kChunk;
  if (half < kLanes) {
    Pack x = load_some(in, half);
    Pack y = load_some(in + half, half);
    rotate(x, y, load_one(angles.cos), load_one(angles.sin));
    store_some(out, x, half);
    store_some(out + half, y, half);
    return;
  }
  // A rest ends in a whole register, which overlaps what comes before it, is read before that is
  // written and writes the same again. Not a masked one: the next head's load would wait for such
  // a store, which counts as if it were whole (19.3 against 5.9 ns a head of 80 bfloat16, AMD
  // EPYC).
  const int32_t last = half - kLanes;
  Pack last_x, last_y;
  if (rest > 0) {
    last_x = load_some(in + last, kLanes);
    last_y = load_some(in + half + last, kLanes);
  }
  int32_t i = 0;
  for (; i + kChunk <= half; i += kChunk) {
    rotate_split_chunk(in + i, in + half + i, out + i, out + half + i, load_angles(angles, i));
  }
  if (rest > kLanes) {
    Pack x = load_some(in + i, kLanes);
    Pack y = load_some(in + half + i, kLanes);
    rotate(x, y, load_one(angles.cos + i), load_one(angles.sin + i));
    store_some(out + i, x, kLanes);
    store_some(out + half + i, y, kLanes);
  }
  if (rest > 0) {
    rotate(last_x, last_y, load_one(angles.last_cos), load_one(angles.last_sin));
    store_some(out + last, last_x, kLanes);
    store_some(out + half + last, last_y, kLanes);
  }
}

template <class Scalar>
inline void rotate_pairs_chunk(const Scalar* in, Scalar* out, const Pack& cos, const Pack& sin) {
  Pack x, y;
  load_pairs(in, x, y);
  rotate(x, y, cos, sin);
  store_pairs(out, x, y);
}

// Fewer than kLanes pairs.
template <class Scalar>
inline void rotate_few_pairs(const Scalar* in, Scalar* out, const AngleRow& angles, int32_t half) {
  const int32_t count = 2 * half;
  const int32_t behind = std::max(count - Pack::kLanes, 0);
  Pack x = load_some(in, count - behind);
  Pack y = {};
  if (behind > 0) y = load_some(in + Pack::kLanes, behind);
  deinterleave(x, y);
  rotate(x, y, load_one(angles.cos), load_one(angles.sin));
  interleave(x, y);
  store_some(out, x, count - behind);
  if (behind > 0) store_some(out + Pack::kLanes, y, behind);
}

// half pairs (x, y).
template <class Scalar>
inline void rotate_row(Interleaved, const Scalar* in, Scalar* out, const AngleRow& angles,
                       int32_t half) {
  constexpr int32_t kLanes = Pack::kLanes;
  if (half < kLanes) return rotate_few_pairs(in, out, angles, half);
  const int32_t last = half - kLanes;
  const bool has_rest = half % kLanes != 0;
  Pack last_x, last_y;
  if (has_rest) load_pairs(in + 2 * last, last_x, last_y);
  for (int32_t i = 0; i + kLanes <= half; i += kLanes) {
    rotate_pairs_chunk(in + 2 * i, out + 2 * i, load_one(angles.cos + i), load_one(angles.sin + i));
  }
  if (!has_rest) return;
  rotate(last_x, last_y, load_one(angles.last_cos), load_one(angles.last_sin));
  store_pairs(out + 2 * last, last_x, last_y);
}

// The same for kPacks · kLanes pairs exactly, with angles that stay in registers from head to head.
template <int kPacks>
struct HeldAngles {
  Pack cos[kPacks];
  Pack sin[kPacks];

  explicit HeldAngles(const AngleRow& angles) {
    ROPE_UNROLL
    for (int i = 0; i < kPacks; ++i) {
      cos[i] = load_one(angles.cos + i * Pack::kLanes);
      sin[i] = load_one(angles.sin + i * Pack::kLanes);
    }
  }
};

template <class Scalar, int kPacks>
inline void rotate_row(Split, const Scalar* in, Scalar* out, const HeldAngles<kPacks>& angles) {
  constexpr int32_t kHalf = kPacks * Pack::kLanes;
  if constexpr (kPacks == 1) {
    Pack x = load_some(in, kHalf);
    Pack y = load_some(in + kHalf, kHalf);
    rotate(x, y, angles.cos[0], angles.sin[0]);
    store_some(out, x, kHalf);
    store_some(out + kHalf, y, kHalf);
    return;
  }
  ROPE_UNROLL
  for (int i = 0; i + 1 < kPacks; i += 2) {
    const int32_t at = i * Pack::kLanes;
    rotate_split_chunk(in + at, in + kHalf + at, out + at, out + kHalf + at,
                       {{angles.cos[i], angles.cos[i + 1]}, {angles.sin[i], angles.sin[i + 1]}});
  }
}

template <class Scalar, int kPacks>
inline void rotate_row(Interleaved, const Scalar* in, Scalar* out,
                       const HeldAngles<kPacks>& angles) {
  ROPE_UNROLL
  for (int i = 0; i < kPacks; ++i) {
    const int32_t at = 2 * i * Pack::kLanes;
    rotate_pairs_chunk(in + at, out + at, angles.cos[i], angles.sin[i]);
  }
}

// Gives the lanes behind the last pair a value; what comes of them is thrown away.
inline void pad(AngleRow& angles, int32_t half) {
  for (int32_t i = half; i < half + kChunk; ++i) angles.cos[i] = angles.sin[i] = 0.0f;
}

// From the natural order of the pairs to that of rotate_row, which the rest of a row keeps.
template <class Scalar, class Pairs>
inline void arrange(AngleRow& angles, int32_t half) {
  if (half >= Pack::kLanes) {
    store_one(angles.last_cos, load_one(angles.cos + half - Pack::kLanes));
    store_one(angles.last_sin, load_one(angles.sin + half - Pack::kLanes));
  }
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
