// What one CUDA thread does: its coordinate and its memory are passed in, so that a test can run
// every thread of a grid on a CPU. For cuda/kernel.cuh and the executor in tests/cpp.
#pragma once

#include <cstdint>

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

// One of a thread's heads, in the list of q's heads followed by k's.
struct HeadPlace {
  const char* in;
  char* out;
  bool exists;
};

ROPE_HOST_DEVICE HeadPlace place_of(const Params& params, const Token& token, int64_t head,
                                    int32_t scalar_size) {
  const bool is_q = head < params.q.num_heads;
  const Heads& heads = is_q ? params.q : params.k;
  const int64_t own = is_q ? head : head - params.q.num_heads;
  const int64_t in = token.batch * heads.in_stride.batch + token.index * heads.in_stride.token +
                     own * heads.in_stride.head;
  const int64_t out = token.batch * heads.out_stride.batch + token.index * heads.out_stride.token +
                      own * heads.out_stride.head;
  return {static_cast<const char*>(heads.in) + in * scalar_size,
          static_cast<char*>(heads.out) + out * scalar_size,
          head < params.q.num_heads + params.k.num_heads};
}

// The head's number in its own tensor: what per-head angles count by.
ROPE_HOST_DEVICE int64_t own_head(const Params& params, int64_t head) {
  return head < params.q.num_heads ? head : head - params.q.num_heads;
}

template <class Scalar, class Pairs, int kBytes>
ROPE_HOST_DEVICE void rotate_vectors(Vector<kBytes>& first, Vector<kBytes>& second,
                                     const CosSin* angles) {
  constexpr int kPairs = kBytes / static_cast<int>(sizeof(Scalar));
  float elements[2 * kPairs];
  widen<Scalar>(first, elements);
  widen<Scalar>(second, elements + kPairs);
  ROPE_UNROLL
  for (int j = 0; j < kPairs; ++j) {
    rotate(elements[Pairs::template x<kPairs>(j)], elements[Pairs::template y<kPairs>(j)],
           angles[j].cos, angles[j].sin);
  }
  narrow<Scalar>(elements, first);
  narrow<Scalar>(elements + kPairs, second);
}

// kHeads heads of one token share one set of angles. Every load is issued before the angles are
// made, so that memory works while they are.
template <class Scalar, class Pairs, int kBytes, int kHeads, Source kSource, class Memory>
ROPE_HOST_DEVICE void rotate_heads(const Params& params, const Token& token, int32_t pair,
                                   int64_t chunk, int64_t chunks, Memory& memory) {
  constexpr int kPairs = kBytes / static_cast<int>(sizeof(Scalar));
  constexpr int kSize = static_cast<int>(sizeof(Scalar));
  const int32_t half = params.rotary_dim / 2;
  const int32_t first_byte = Pairs::first_vector(pair, half) * kSize;
  const int32_t second_byte = Pairs::second_vector(pair, half, kPairs) * kSize;

  Vector<kBytes> first[kHeads] = {};
  Vector<kBytes> second[kHeads] = {};
  ROPE_UNROLL
  for (int u = 0; u < kHeads; ++u) {
    const HeadPlace place = place_of(params, token, chunk + u * chunks, kSize);
    if (place.exists) {
      first[u] = memory.template load<kBytes>(place.in + first_byte);
      second[u] = memory.template load<kBytes>(place.in + second_byte);
    }
  }

  const bool skipped = is_skipped(memory, params, token);
  CosSin angles[kPairs];
  if (!skipped) {
    angles_of<kSource, kPairs>(memory, params, token, own_head(params, chunk), pair, angles);
  }
  ROPE_UNROLL
  for (int u = 0; u < kHeads; ++u) {
    const HeadPlace place = place_of(params, token, chunk + u * chunks, kSize);
    if (!place.exists || (skipped && place.in == place.out)) continue;
    if (!skipped) rotate_vectors<Scalar, Pairs, kBytes>(first[u], second[u], angles);
    memory.template store<kBytes>(place.out + first_byte, first[u]);
    memory.template store<kBytes>(place.out + second_byte, second[u]);
  }
}

// A surplus of threads or blocks does nothing.
template <class Scalar, class Pairs, int kBytes, int kHeads, Source kSource, class Memory>
ROPE_HOST_DEVICE void rotate_thread(const Params& params, const Plan& plan, const Coordinate& at,
                                    Memory& memory) {
  constexpr int kPairs = kBytes / static_cast<int>(sizeof(Scalar));
  const int32_t pair = static_cast<int32_t>(at.thread.x) * kPairs;
  const int64_t index =
      plan.tokens.first + static_cast<int64_t>(at.block.x) * at.block_size.z + at.thread.z;
  const int64_t chunk =
      plan.chunks.first + static_cast<int64_t>(at.block.y) * at.block_size.y + at.thread.y;
  const int64_t batch = plan.batches.first + at.block.z;
  if (at.thread.x >= static_cast<uint32_t>(plan.lanes) || index >= plan.tokens.end ||
      chunk >= plan.chunks.end || batch >= plan.batches.end) {
    return;
  }
  rotate_heads<Scalar, Pairs, kBytes, kHeads, kSource>(params, {batch, index}, pair, chunk,
                                                       plan.head_chunks, memory);
}

}  // namespace ROPE_TARGET
}  // namespace rope
