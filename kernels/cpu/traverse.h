// The CPU's own traversal: token by token, its angles made once, then head by head.
// The body that one thin file per instruction set compiles; included by those files alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../scalar.h"
#include "angle_row.h"
#include "backend.h"
#include "rows.h"

namespace rope {
inline namespace ROPE_TARGET {

template <class Scalar>
inline const Scalar* in_row(const Heads& heads, const Token& token, int64_t head) {
  return static_cast<const Scalar*>(heads.in) + token.batch * heads.in_stride.batch +
         token.index * heads.in_stride.token + head * heads.in_stride.head;
}

template <class Scalar>
inline Scalar* out_row(const Heads& heads, const Token& token, int64_t head) {
  return static_cast<Scalar*>(heads.out) + token.batch * heads.out_stride.batch +
         token.index * heads.out_stride.token + head * heads.out_stride.head;
}

template <class Scalar>
void copy_token(const Params& params, const Heads& heads, const Token& token) {
  const size_t bytes = static_cast<size_t>(params.rotary_dim) * sizeof(Scalar);
  for (int64_t head = 0; head < heads.num_heads; ++head) {
    const Scalar* in = in_row<Scalar>(heads, token, head);
    Scalar* out = out_row<Scalar>(heads, token, head);
    if (in != out) std::memcpy(out, in, bytes);
  }
}

// A token, and the one whose rows are fetched in the meantime: the slice's next one, or at its end
// the same, so that no address outside of the tensors is ever made.
struct Step {
  Token token;
  Token next;
};

// How far ahead rows are fetched, and out of place those that will be written. Without and with it,
// on a Xeon (Sapphire Rapids) with other load, one thread, table, 2048 tokens of 40 heads of 128:
// float32 half-split 2.41 and 2.17 ms in place (x86-64-v4), 7.45 and 6.07 ms out of place; bfloat16
// 2.58 and 2.21 ms (x86-64-v3), of which 32 of 128 components 2.22 and 1.04 ms: there the processor
// itself finds no stream. On two quiet threads float32 gains nothing (x86-64-v4) to 3 % (v3). 2 and
// 4 KiB differ by less than the noise.
constexpr int32_t kBytesAhead = 2048;

inline void prefetch(const void* row, int32_t bytes) {
  constexpr int32_t kLine = 64;
  for (int32_t at = 0; at < bytes; at += kLine) {
    __builtin_prefetch(static_cast<const char*>(row) + at);
  }
}

// A token's heads, row by row. Everything the loop needs is in locals: read from Params again for
// each head, behind stores that still wait for memory, the next row's address would wait with them
// (2.0 against 1.1 ms for 42 MB of float32 on one thread, x86-64-v4).
template <class Scalar, class Rotate>
void for_each_row(const Heads& heads, const Step& step, int32_t half, const Rotate& rotate) {
  const int64_t num_heads = heads.num_heads;
  if (num_heads == 0) return;  // strides from no address lead nowhere
  const int64_t in_step = heads.in_stride.head;
  const int64_t out_step = heads.out_stride.head;
  const Scalar* in = in_row<Scalar>(heads, step.token, 0);
  Scalar* out = out_row<Scalar>(heads, step.token, 0);
  const int32_t row_bytes = 2 * half * static_cast<int32_t>(sizeof(Scalar));
  const int64_t ahead = std::min<int64_t>(num_heads, (kBytesAhead + row_bytes - 1) / row_bytes);
  const Scalar* next_in = in_row<Scalar>(heads, step.next, 0);
  const Scalar* next_out = out_row<Scalar>(heads, step.next, 0);
  for (int64_t head = 0; head < num_heads; ++head) {
    const int64_t fetched = head + ahead;
    const bool is_next = fetched >= num_heads;
    const int64_t fetched_head = is_next ? fetched - num_heads : fetched;
    prefetch((is_next ? next_in : in) + fetched_head * in_step, row_bytes);
    if (in != out) prefetch((is_next ? next_out : out) + fetched_head * out_step, row_bytes);
    rotate(in + head * in_step, out + head * out_step, head);
  }
}

template <class Scalar, class Pairs, int kPacks>
void rotate_both_whole(const Params& params, const Step& step, const float* first,
                       const float* second) {
  using Angles =
      std::conditional_t<(kPacks <= Pack::kMostHeld), HeldAngles<kPacks>, StoredAngles<kPacks>>;
  const Angles angles(first, second);
  constexpr int32_t kHalf = half_of<Scalar, Pairs>(kPacks);
  for (const Heads* heads : {&params.q, &params.k}) {
    for_each_row<Scalar>(*heads, step, kHalf, [&angles](const Scalar* in, Scalar* out, int64_t) {
      rotate_whole_row(Pairs(), in, out, angles);
    });
  }
}

// Heads that share their angles, which stay in registers where that leaves enough for the data.
template <class Scalar, class Pairs, int kPacks = 1>
void rotate_both(const Params& params, const Step& step, const AngleRow& angles) {
  const int32_t half = params.rotary_dim / 2;
  if constexpr (kPacks <= Pack::kMostWhole) {
    if (half != half_of<Scalar, Pairs>(kPacks)) {
      return rotate_both<Scalar, Pairs, 2 * kPacks>(params, step, angles);
    }
    constexpr bool kTogether = kStayTogether<Scalar, Pairs>;
    rotate_both_whole<Scalar, Pairs, kPacks>(params, step, kTogether ? angles.cos_sin : angles.cos,
                                             kTogether ? angles.sin_cos : angles.sin);
  } else {
    for (const Heads* heads : {&params.q, &params.k}) {
      for_each_row<Scalar>(*heads, step, half,
                           [&angles, half](const Scalar* in, Scalar* out, int64_t) {
                             rotate_row(Pairs(), in, out, angles, half);
                           });
    }
  }
}

template <class Scalar, class Pairs>
void rotate_by_head(const Params& params, const Heads& heads, const Step& step, AngleRow& angles) {
  const int32_t half = params.rotary_dim / 2;
  for_each_row<Scalar>(heads, step, half, [&](const Scalar* in, Scalar* out, int64_t head) {
    make_angle_row(params, step.token, head, angles.cos, angles.sin);
    arrange<Scalar, Pairs>(angles, half);
    rotate_row(Pairs(), in, out, angles, half);
  });
}

inline Token behind(const Token& token, int64_t num_tokens) {
  if (token.index + 1 == num_tokens) return {token.batch + 1, 0};
  return {token.batch, token.index + 1};
}

template <class Scalar, class Pairs>
void rotate_tokens(const Params& params, int64_t first, int64_t last) {
  AngleRow angles;
  pad(angles, params.rotary_dim / 2);
  const HostMemory memory;
  const bool per_head = angles_differ_by_head(params);
  Token token = {first / params.num_tokens, first % params.num_tokens};
  for (int64_t i = first; i < last; ++i) {
    const Step step = {token, i + 1 < last ? behind(token, params.num_tokens) : token};
    if (is_skipped(memory, params, token)) {
      copy_token<Scalar>(params, params.q, token);
      copy_token<Scalar>(params, params.k, token);
    } else if (per_head) {
      rotate_by_head<Scalar, Pairs>(params, params.q, step, angles);
      rotate_by_head<Scalar, Pairs>(params, params.k, step, angles);
    } else {
      make_angle_row(params, token, 0, angles.cos, angles.sin);
      arrange<Scalar, Pairs>(angles, params.rotary_dim / 2);
      rotate_both<Scalar, Pairs>(params, step, angles);
    }
    token = step.next;
  }
}

template <class Scalar>
void rotate_dtype(const Params& params, int64_t first, int64_t last) {
  if (params.pairing == Pairing::kInterleaved) {
    rotate_tokens<Scalar, Interleaved>(params, first, last);
  } else {
    rotate_tokens<Scalar, Split>(params, first, last);
  }
}

inline void rotate_any(const Params& params, int64_t first, int64_t last) {
  switch (params.dtype) {
    case Dtype::kFloat16:
      return rotate_dtype<Half>(params, first, last);
    case Dtype::kBFloat16:
      return rotate_dtype<BFloat16>(params, first, last);
    default:
      return rotate_dtype<float>(params, first, last);
  }
}

inline void fill_rows(const TableParams& params, int64_t first, int64_t last) {
  uint64_t phases[kMaxRotaryDim / 2];
  const int32_t count = params.num_pairs;
  const uint64_t start = static_cast<uint64_t>(params.start);
  for (int64_t row = first; row < last; ++row) {
    const uint64_t position = start + static_cast<uint64_t>(row);
    for (int32_t i = 0; i < count; ++i) phases[i] = position * params.turns[i];
    float* cos = params.out + row * (2 * static_cast<int64_t>(count));
    cos_sin_row(phases, count, params.attention_factor, cos, cos + count);
    if (params.may_be_invalid) set_nan(params.turns, count, cos, cos + count);
  }
}

constexpr Backend make_backend(const char* name) {
  return {name, static_cast<int32_t>(sizeof(Pack)), &rotate_any, &fill_rows};
}

}  // namespace ROPE_TARGET
}  // namespace rope
