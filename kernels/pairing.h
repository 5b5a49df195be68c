// Where the two partners of a pair sit, in the rotated part of a head and in a lane's registers.
// A lane owns kPairs adjacent pairs, as two vectors of kPairs elements. For thread.h and cpu/.
#pragma once

#include <cstdint>

#include <rope/params.h>

#include "target.h"

namespace rope {

// Pair i is (i, i + half): GPT-NeoX, and Llama in transformers.
struct Split {
  static constexpr Pairing kPairing = Pairing::kSplit;

  static ROPE_HOST_DEVICE int32_t first_vector(int32_t pair, int32_t /*half*/) { return pair; }
  static ROPE_HOST_DEVICE int32_t second_vector(int32_t pair, int32_t half, int32_t /*pairs*/) {
    return pair + half;
  }
  // Of the lane's 2 · kPairs elements, those of its pair j.
  template <int kPairs>
  static ROPE_HOST_DEVICE constexpr int x(int j) {
    return j;
  }
  template <int kPairs>
  static ROPE_HOST_DEVICE constexpr int y(int j) {
    return kPairs + j;
  }
};

// Pair i is (2i, 2i + 1): GPT-J, CodeGen, GLM, Llama as Meta published it.
struct Interleaved {
  static constexpr Pairing kPairing = Pairing::kInterleaved;

  static ROPE_HOST_DEVICE int32_t first_vector(int32_t pair, int32_t /*half*/) { return 2 * pair; }
  static ROPE_HOST_DEVICE int32_t second_vector(int32_t pair, int32_t /*half*/, int32_t pairs) {
    return 2 * pair + pairs;
  }
  template <int kPairs>
  static ROPE_HOST_DEVICE constexpr int x(int j) {
    return 2 * j;
  }
  template <int kPairs>
  static ROPE_HOST_DEVICE constexpr int y(int j) {
    return 2 * j + 1;
  }
};

}  // namespace rope
