// What one CUDA thread does: its coordinate and its memory are passed in, so that a test can run
// every thread of a grid on a CPU. For cuda/kernel.cuh and the executor in tests/cpp.
#pragma once

#include <cstdint>
#include <type_traits>

#include <rope/params.h>

#include "angles.h"
#include "pairing.h"
#include "plan.h"
#include "rotation.h"
#include "vector.h"

namespace rope {

struct Extent3 {
  uint32_t x, y, z;
};

struct Coordinate {
  Extent3 thread;
  Extent3 block;       // which block
  Extent3 block_size;  // in threads
};

inline namespace ROPE_TARGET {

// What a thread indexes heads and their strides with, in bytes. Common calls are those where 32
// bits hold them: a head is then one multiplication away from its token.
template <Source kSource>
using HeadOffset = std::conditional_t<kSource == Source::kGeneral, int64_t, int32_t>;

// Where the token's heads begin, in one of its tensors.
ROPE_HOST_DEVICE int64_t token_offset(const Token& token, const Strides& stride, int32_t size) {
  return (token.batch * stride.batch + token.index * stride.token) * size;
}

// Byte is const char where they are read.
template <class Byte>
struct TokenRows {
  Byte* q;
  Byte* k;
};

ROPE_HOST_DEVICE TokenRows<const char> rows_in(const Params& params, const Token& token,
                                               int32_t size) {
  return {static_cast<const char*>(params.q.in) + token_offset(token, params.q.in_stride, size),
          static_cast<const char*>(params.k.in) + token_offset(token, params.k.in_stride, size)};
}

ROPE_HOST_DEVICE TokenRows<char> rows_out(const Params& params, const Token& token, int32_t size) {
  return {static_cast<char*>(params.q.out) + token_offset(token, params.q.out_stride, size),
          static_cast<char*>(params.k.out) + token_offset(token, params.k.out_stride, size)};
}

ROPE_HOST_DEVICE bool is_in_place(const Params& params) {
  return params.q.in == params.q.out && params.k.in == params.k.out;
}

// A head of the list of q's heads followed by k's.
template <class Offset>
ROPE_HOST_DEVICE bool head_exists(const Params& params, Offset head) {
  return head < static_cast<Offset>(params.q.num_heads) + static_cast<Offset>(params.k.num_heads);
}

template <class Byte, class Offset>
ROPE_HOST_DEVICE Byte* head_row(const TokenRows<Byte>& rows, Offset q_heads, Offset q_step,
                                Offset k_step, Offset head) {
  const bool is_q = head < q_heads;
  const int64_t own = is_q ? head : head - q_heads;
  return (is_q ? rows.q : rows.k) + own * (is_q ? q_step : k_step);
}

// The head's number in its own tensor: what per-head angles count by.
ROPE_HOST_DEVICE int64_t own_head(const Params& params, int64_t head) {
  return head < params.q.num_heads ? head : head - params.q.num_heads;
}

template <class Scalar, class Partners, int kBytes>
ROPE_HOST_DEVICE void rotate_vectors(Vector<kBytes>& first, Vector<kBytes>& second,
                                     const CosSin* angles) {
  constexpr int kPairs = kBytes / static_cast<int>(sizeof(Scalar));
  float elements[2 * kPairs];
  widen<Scalar>(first, elements);
  widen<Scalar>(second, elements + kPairs);
  ROPE_UNROLL
  for (int j = 0; j < kPairs; ++j) {
    rotate(elements[Partners::template x<kPairs>(j)], elements[Partners::template y<kPairs>(j)],
           angles[j].cos, angles[j].sin);
  }
  narrow<Scalar>(elements, first);
  narrow<Scalar>(elements + kPairs, second);
}

// kHeads heads of one token share one set of angles. Every load is issued before the angles are
// made, so that memory works while they are.
template <class Scalar, class Partners, int kBytes, int kHeads, Source kSource, class Memory>
ROPE_HOST_DEVICE void rotate_heads(const Params& params, const Token& token, int32_t lane,
                                   HeadOffset<kSource> chunk, HeadOffset<kSource> chunks,
                                   Memory& memory) {
  using Offset = HeadOffset<kSource>;
  constexpr int kPairs = kBytes / static_cast<int>(sizeof(Scalar));
  constexpr int kSize = static_cast<int>(sizeof(Scalar));
  const int32_t half = params.rotary_dim / 2;
  const int32_t first_byte = Partners::template first_vector<kPairs>(lane) * kSize;
  const int32_t second_byte = Partners::template second_vector<kPairs>(lane, half) * kSize;
  const auto q_heads = static_cast<Offset>(params.q.num_heads);

  Vector<kBytes> first[kHeads] = {};
  Vector<kBytes> second[kHeads] = {};
  const TokenRows<const char> in = rows_in(params, token, kSize);
  const auto q_in_step = static_cast<Offset>(params.q.in_stride.head) * kSize;
  const auto k_in_step = static_cast<Offset>(params.k.in_stride.head) * kSize;
  memory.wait_for_earlier_work();
  ROPE_UNROLL
  for (int u = 0; u < kHeads; ++u) {
    const Offset head = chunk + u * chunks;
    if (head_exists(params, head)) {
      const char* row = head_row(in, q_heads, q_in_step, k_in_step, head);
      first[u] = memory.template load<kBytes>(row + first_byte);
      second[u] = memory.template load<kBytes>(row + second_byte);
    }
  }
  memory.let_later_work_start();

  const bool skipped = kSource == Source::kGeneral ? is_skipped(memory, params, token)
                                                   : is_skipped_by(memory, params.axes[0], token);
  const auto pairs = Partners::template pairs<kPairs>(lane, half);
  CosSin angles[kPairs];
  if (!skipped) {
    angles_of<kSource, kPairs>(memory, params, token, own_head(params, chunk), pairs, angles);
  }
  if (skipped && is_in_place(params)) return;
  const TokenRows<char> out = rows_out(params, token, kSize);
  const auto q_out_step = static_cast<Offset>(params.q.out_stride.head) * kSize;
  const auto k_out_step = static_cast<Offset>(params.k.out_stride.head) * kSize;
  ROPE_UNROLL
  for (int u = 0; u < kHeads; ++u) {
    const Offset head = chunk + u * chunks;
    if (!head_exists(params, head)) continue;
    char* row = head_row(out, q_heads, q_out_step, k_out_step, head);
    if (!skipped) rotate_vectors<Scalar, Partners, kBytes>(first[u], second[u], angles);
    memory.template store<kBytes>(row + first_byte, first[u]);
    memory.template store<kBytes>(row + second_byte, second[u]);
  }
}

// A surplus of threads or blocks does nothing.
template <class Scalar, class Partners, int kBytes, int kHeads, Source kSource, class Memory>
ROPE_HOST_DEVICE void rotate_thread(const Params& params, const Plan& plan, const Coordinate& at,
                                    Memory& memory) {
  // A common call has fewer than 2^31 tokens, heads and batches.
  using Index = std::conditional_t<kSource == Source::kGeneral, int64_t, uint32_t>;
  const auto index = static_cast<Index>(plan.tokens.first) +
                     static_cast<Index>(at.block.x) * at.block_size.z + at.thread.z;
  const auto chunk = static_cast<Index>(plan.chunks.first) +
                     static_cast<Index>(at.block.y) * at.block_size.y + at.thread.y;
  const auto batch = static_cast<Index>(plan.batches.first) + at.block.z;
  if (at.thread.x >= static_cast<uint32_t>(plan.lanes) ||
      index >= static_cast<Index>(plan.tokens.end) ||
      chunk >= static_cast<Index>(plan.chunks.end) ||
      batch >= static_cast<Index>(plan.batches.end)) {
    return;
  }
  using Offset = HeadOffset<kSource>;
  rotate_heads<Scalar, Partners, kBytes, kHeads, kSource>(
      params, {static_cast<int64_t>(batch), static_cast<int64_t>(index)},
      static_cast<int32_t>(at.thread.x), static_cast<Offset>(chunk),
      static_cast<Offset>(plan.head_chunks), memory);
}

}  // namespace ROPE_TARGET
}  // namespace rope
