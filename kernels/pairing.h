// Where the two partners of a pair sit, in the rotated part of a head and in a lane's registers.
// A lane owns kPairs pairs, as two vectors of kPairs elements. For thread.h and cpu/.
#pragma once

#include <cstdint>

#include <rope/params.h>

#include "target.h"

namespace rope {

// The numbers of a lane's kPairs pairs: kRuns runs of adjacent ones.
template <int kPairs, int kRunsValue>
struct LanePairs {
  static constexpr int kRuns = kRunsValue;
  static constexpr int kRun = kPairs / kRuns;
  // Of a run, the values in a row of a table that one read takes: 16 bytes of float32 at most.
  static constexpr int kAtOnce = kRun % 4 == 0 ? 4 : kRun % 2 == 0 ? 2 : 1;
  int32_t first[kRuns];

  ROPE_HOST_DEVICE int32_t operator[](int j) const { return first[j / kRun] + j % kRun; }
};

// What a pairing tells: the elements of the head at which a lane's two vectors begin, its pairs,
// and where pair j is among the 2 · kPairs elements of the vectors. Lanes that follow each other
// take vectors that follow each other, so that one access of a warp leaves no gaps.

// Pair i is (i, i + half): GPT-NeoX, and Llama in transformers.
struct Split {
  static constexpr Pairing kPairing = Pairing::kSplit;

  template <int kPairs>
  static ROPE_HOST_DEVICE int32_t first_vector(int32_t lane) {
    return lane * kPairs;
  }
  template <int kPairs>
  static ROPE_HOST_DEVICE int32_t second_vector(int32_t lane, int32_t half) {
    return half + lane * kPairs;
  }
  template <int kPairs>
  static ROPE_HOST_DEVICE LanePairs<kPairs, 1> pairs(int32_t lane, int32_t /*half*/) {
    return {{lane * kPairs}};
  }
  template <int kPairs>
  static ROPE_HOST_DEVICE constexpr int x(int j) {
    return j;
  }
  template <int kPairs>
  static ROPE_HOST_DEVICE constexpr int y(int j) {
    return kPairs + j;
  }
};

// Pair i is (2i, 2i + 1): GPT-J, CodeGen, GLM, Llama as Meta published it. A vector holds whole
// pairs and its partner is half a head away, as in Split; only vectors of a single element are
// each other's partners.
struct Interleaved {
  static constexpr Pairing kPairing = Pairing::kInterleaved;

  template <int kPairs>
  static ROPE_HOST_DEVICE int32_t first_vector(int32_t lane) {
    return kPairs == 1 ? 2 * lane : lane * kPairs;
  }
  template <int kPairs>
  static ROPE_HOST_DEVICE int32_t second_vector(int32_t lane, int32_t half) {
    return kPairs == 1 ? 2 * lane + 1 : half + lane * kPairs;
  }
  template <int kPairs>
  static ROPE_HOST_DEVICE auto pairs(int32_t lane, int32_t half) {
    if constexpr (kPairs == 1) {
      return LanePairs<1, 1>{{lane}};
    } else {
      const int32_t first = lane * (kPairs / 2);
      return LanePairs<kPairs, 2>{{first, half / 2 + first}};
    }
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
