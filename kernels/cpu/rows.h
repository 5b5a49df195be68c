// One head's row in registers: rotated in chunks of two registers a side, the rest of a row in
// single, partly filled ones. For traverse.h.
#pragma once

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
  alignas(64) float cos_sin[2 * kPaddedHalf];
  alignas(64) float sin_cos[2 * kPaddedHalf];
};

// Whether a row's interleaved pairs are rotated as they lie; else as a register of x and one of y.
template <class Scalar>
constexpr bool stay_together(int32_t half) {
  return !kHalvesAreEvenOdd<Scalar> || half < Pack::kLanes;
}

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
  load_two(in, x, y);
  rotate(x, y, cos, sin);
  store_two(out, x, y);
}

inline Pack rotated_pairs(const Pack& pairs, const Pack& cos_sin, const Pack& sin_cos) {
  return rotate_adjacent(twice_even(pairs), twice_odd(pairs), cos_sin, sin_cos);
}

// Pairs that stay together in their registers: half a register of pairs at a time.
template <class Scalar>
inline void rotate_row_together(const Scalar* in, Scalar* out, const AngleRow& angles,
                                int32_t half) {
  constexpr int32_t kLanes = Pack::kLanes;
  const int32_t count = 2 * half;
  const auto rotated = [&angles](const Pack& pairs, int32_t at) {
    return rotated_pairs(pairs, load_one(angles.cos_sin + at), load_one(angles.sin_cos + at));
  };
  if (count < kLanes) {
    store_some(out, rotated(load_some(in, count), 0), count);
    return;
  }
  const int32_t last = count - kLanes;
  const bool has_rest = count % kLanes != 0;
  Pack last_pairs;
  if (has_rest) last_pairs = load_some(in + last, kLanes);
  for (int32_t i = 0; i + kLanes <= count; i += kLanes) {
    store_some(out + i, rotated(load_some(in + i, kLanes), i), kLanes);
  }
  if (has_rest) store_some(out + last, rotated(last_pairs, last), kLanes);
}

// half pairs (x, y).
template <class Scalar>
inline void rotate_row(Interleaved, const Scalar* in, Scalar* out, const AngleRow& angles,
                       int32_t half) {
  constexpr int32_t kLanes = Pack::kLanes;
  if (stay_together<Scalar>(half)) return rotate_row_together(in, out, angles, half);
  const int32_t last = half - kLanes;
  const bool has_rest = half % kLanes != 0;
  Pack last_x, last_y;
  if (has_rest) load_two(in + 2 * last, last_x, last_y);
  for (int32_t i = 0; i + kLanes <= half; i += kLanes) {
    rotate_pairs_chunk(in + 2 * i, out + 2 * i, load_one(angles.cos + i), load_one(angles.sin + i));
  }
  if (!has_rest) return;
  rotate(last_x, last_y, load_one(angles.last_cos), load_one(angles.last_sin));
  store_two(out + 2 * last, last_x, last_y);
}

template <class Scalar, class Pairs>
constexpr bool kStayTogether =
    Pairs::kPairing == Pairing::kInterleaved && !kHalvesAreEvenOdd<Scalar>;

// Pairs of a row whose cosines, or whose (cos, sin), … fill kPacks registers.
template <class Scalar, class Pairs>
constexpr int32_t half_of(int32_t packs) {
  return packs * Pack::kLanes / (kStayTogether<Scalar, Pairs> ? 2 : 1);
}

// The angles of rows of kPacks registers exactly: in registers from head to head, or in memory. Of
// pairs that stay together, first is (cos, sin), … and second (sin, cos), …; else cos and sin.
template <int kCount>
struct HeldAngles {
  static constexpr int kPacks = kCount;
  Pack first[kPacks];
  Pack second[kPacks];

  HeldAngles(const float* first_row, const float* second_row) {
    ROPE_UNROLL
    for (int i = 0; i < kPacks; ++i) {
      first[i] = load_one(first_row + i * Pack::kLanes);
      second[i] = load_one(second_row + i * Pack::kLanes);
    }
  }
  Pack first_at(int i) const { return first[i]; }
  Pack second_at(int i) const { return second[i]; }
};

template <int kCount>
struct StoredAngles {
  static constexpr int kPacks = kCount;
  const float* first;
  const float* second;

  StoredAngles(const float* first_row, const float* second_row)
      : first(first_row), second(second_row) {}
  Pack first_at(int i) const { return load_one(first + i * Pack::kLanes); }
  Pack second_at(int i) const { return load_one(second + i * Pack::kLanes); }
};

template <class Scalar, class RowAngles>
inline void rotate_whole_row(Split, const Scalar* in, Scalar* out, const RowAngles& angles) {
  constexpr int32_t kHalf = RowAngles::kPacks * Pack::kLanes;
  if constexpr (RowAngles::kPacks == 1) {
    Pack x = load_some(in, kHalf);
    Pack y = load_some(in + kHalf, kHalf);
    rotate(x, y, angles.first_at(0), angles.second_at(0));
    store_some(out, x, kHalf);
    store_some(out + kHalf, y, kHalf);
    return;
  }
  ROPE_UNROLL
  for (int i = 0; i + 1 < RowAngles::kPacks; i += 2) {
    const int32_t at = i * Pack::kLanes;
    rotate_split_chunk(in + at, in + kHalf + at, out + at, out + kHalf + at,
                       {{angles.first_at(i), angles.first_at(i + 1)},
                        {angles.second_at(i), angles.second_at(i + 1)}});
  }
}

template <class Scalar, class RowAngles>
inline void rotate_whole_row(Interleaved, const Scalar* in, Scalar* out, const RowAngles& angles) {
  constexpr int32_t kLanes = Pack::kLanes;
  ROPE_UNROLL
  for (int i = 0; i < RowAngles::kPacks; ++i) {
    if constexpr (kHalvesAreEvenOdd<Scalar>) {
      rotate_pairs_chunk(in + 2 * i * kLanes, out + 2 * i * kLanes, angles.first_at(i),
                         angles.second_at(i));
    } else {
      store_one(out + i * kLanes,
                rotated_pairs(load_one(in + i * kLanes), angles.first_at(i), angles.second_at(i)));
    }
  }
}

// Gives the lanes behind the last pair a value; what comes of them is thrown away.
inline void pad(AngleRow& angles, int32_t half) {
  for (int32_t i = half; i < half + kChunk; ++i) angles.cos[i] = angles.sin[i] = 0.0f;
}

inline void put_together(AngleRow& angles, int32_t half) {
  for (int32_t i = 0; i < half; i += Pack::kLanes) {
    const Pack cos = load_one(angles.cos + i);
    const Pack sin = load_one(angles.sin + i);
    Pack first = cos;
    Pack second = sin;
    interleave(first, second);
    store_one(angles.cos_sin + 2 * i, first);
    store_one(angles.cos_sin + 2 * i + Pack::kLanes, second);
    first = sin;
    second = cos;
    interleave(first, second);
    store_one(angles.sin_cos + 2 * i, first);
    store_one(angles.sin_cos + 2 * i + Pack::kLanes, second);
  }
}

// From the natural order of the pairs to that of rotate_row, which the rest of a row keeps.
template <class Scalar, class Pairs>
inline void arrange(AngleRow& angles, int32_t half) {
  if (half >= Pack::kLanes) {
    store_one(angles.last_cos, load_one(angles.cos + half - Pack::kLanes));
    store_one(angles.last_sin, load_one(angles.sin + half - Pack::kLanes));
  }
  if constexpr (Pairs::kPairing == Pairing::kInterleaved) {
    if (stay_together<Scalar>(half)) put_together(angles, half);
  } else if constexpr (kHalvesAreEvenOdd<Scalar>) {
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
