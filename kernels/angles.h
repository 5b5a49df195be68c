// The cosines and sines of some adjacent pairs of one token, from a table row or from the phase.
// For thread.h and cpu/. kPairs is a compile-time count, so that a thread keeps them in registers.
#pragma once

#include <cstdint>

#include <rope/params.h>

#include "phase.h"
#include "scalar.h"
#include "token.h"

namespace rope {

enum class Source : int32_t { kComputed = 0, kTable = 1 };

inline namespace ROPE_TARGET {

// Whether a token has angles of its own for each head; else all its heads share one set.
ROPE_HOST_DEVICE bool angles_differ_by_head(const Params& params) {
  return params.frequencies.stride_head != 0 ||
         (params.table.cos != nullptr && params.table.stride.head != 0);
}

// The angle of a pair that has none: a NaN, with the bits that a GPU's own operations give it.
ROPE_HOST_DEVICE CosSin no_angle() {
  const float nan = bit_cast<float>(0x7fffffffu);
  return {nan, nan};
}

// The angle of a phase, which may have come of kInvalidTurns.
ROPE_HOST_DEVICE CosSin computed_angle(uint64_t phase, float attention_factor, bool is_invalid) {
  const CosSin exact = cos_sin(phase);
  const CosSin scaled = {multiply(exact.cos, attention_factor),
                         multiply(exact.sin, attention_factor)};
  return is_invalid ? no_angle() : scaled;
}

template <class Memory>
ROPE_HOST_DEVICE float read_value(const Memory& memory, const void* data, Dtype dtype,
                                  int64_t index) {
  if (dtype == Dtype::kFloat32) return memory.read(static_cast<const float*>(data) + index);
  const uint16_t bits = memory.read(static_cast<const uint16_t*>(data) + index);
  return dtype == Dtype::kFloat16 ? to_float(Half{bits}) : to_float(BFloat16{bits});
}

struct alignas(16) FourFloats {
  float values[4];
};

// kPairs cosines or sines of a row, in 16-byte reads where the row allows them.
template <int kPairs, bool kSine, class Memory>
ROPE_HOST_DEVICE void read_row(const Memory& memory, const Table& table, int64_t first,
                               CosSin* angles) {
  const void* data = kSine ? table.sin : table.cos;
  const auto put = [&](int j, float value) { (kSine ? angles[j].sin : angles[j].cos) = value; };
  if constexpr (kPairs % 4 == 0) {
    const float* row = static_cast<const float*>(data) + first;
    const bool aligned = reinterpret_cast<uintptr_t>(row) % sizeof(FourFloats) == 0;
    if (table.dtype == Dtype::kFloat32 && table.stride_pair == 1 && aligned) {
      ROPE_UNROLL
      for (int j = 0; j < kPairs; j += 4) {
        const FourFloats four = memory.read(reinterpret_cast<const FourFloats*>(row + j));
        ROPE_UNROLL
        for (int i = 0; i < 4; ++i) put(j + i, four.values[i]);
      }
      return;
    }
  }
  ROPE_UNROLL
  for (int j = 0; j < kPairs; ++j) {
    put(j, read_value(memory, data, table.dtype, first + j * table.stride_pair));
  }
}

// NaN for all pairs where there are no frequencies at all. The first axis is the one that every
// call has: its position is read once, the others' again for each pair, which costs no registers.
template <int kPairs, class Memory>
ROPE_HOST_DEVICE void compute_angles(const Memory& memory, const Params& params, const Token& token,
                                     const Origin& origin, int64_t head, int32_t pair,
                                     CosSin* angles) {
  const Frequencies& frequencies = params.frequencies;
  if (frequencies.turns == nullptr) {
    ROPE_UNROLL
    for (int j = 0; j < kPairs; ++j) angles[j] = no_angle();
    return;
  }
  const uint64_t position = position_of(memory, params.axes[0], token, origin);
  const int64_t first = head * frequencies.stride_head + pair;
  ROPE_UNROLL
  for (int j = 0; j < kPairs; ++j) {
    uint64_t turns = memory.turns(frequencies, first + j);
    uint64_t phase = position * turns;
    bool invalid = turns == kInvalidTurns;
    // Unrolled, the loop that calls of one axis never enter would be half of the code, and the
    // 16-byte kernels would need 75 registers instead of 54 (make sass; sm_90, nvcc 13.0).
#if defined(__CUDACC__)
#pragma unroll 1
#endif
    for (int32_t a = 1; a < params.num_axes; ++a) {
      turns = memory.turns(frequencies, a * frequencies.stride_axis + first + j);
      phase += position_of(memory, params.axes[a], token, origin) * turns;
      invalid |= turns == kInvalidTurns;
    }
    angles[j] =
        computed_angle(phase, frequencies.attention_factor, frequencies.may_be_invalid && invalid);
  }
}

template <Source kSource, int kPairs, class Memory>
ROPE_HOST_DEVICE void angles_of(const Memory& memory, const Params& params, const Token& token,
                                int64_t head, int32_t pair, CosSin* angles) {
  const Origin origin = origin_of(memory, params, token);
  int64_t row = -1;
  if constexpr (kSource == Source::kTable) {
    const Table& table = params.table;
    row = table_row(memory, params, token, origin, head);
    if (row >= 0) {
      read_row<kPairs, false>(memory, table, row + pair * table.stride_pair, angles);
      read_row<kPairs, true>(memory, table, row + pair * table.stride_pair, angles);
    }
  }
  if (row < 0) compute_angles<kPairs>(memory, params, token, origin, head, pair, angles);
  if (params.inverse) {
    ROPE_UNROLL
    for (int j = 0; j < kPairs; ++j) angles[j].sin = negate(angles[j].sin);
  }
}

}  // namespace ROPE_TARGET
}  // namespace rope
