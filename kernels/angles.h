// The cosines and sines of a lane's pairs, from a table row or from the phase. For thread.h, and in
// part for cpu/. How many pairs is known at compile time, so that a thread keeps them in registers.
#pragma once

#include <cstdint>

#include <rope/params.h>

#include "phase.h"
#include "scalar.h"
#include "token.h"

namespace rope {

// Where a kernel finds its angles. kGeneral asks the call, and serves every one; the others are for
// common calls alone (is_common in plan.h says which), with less to ask and fewer registers.
enum class Source : int32_t { kGeneral = 0, kComputed = 1, kTable = 2 };

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

template <int kCount>
struct alignas(4 * kCount) Floats {
  float values[kCount];
};

// A lane's cosines or sines from float32 values without gaps, in reads of 16 or 8 bytes; the row is
// aligned to them.
template <bool kSine, int kPairs, class Pairs, class Memory>
ROPE_HOST_DEVICE void read_aligned_row(const Memory& memory, const float* row, const Pairs& pairs,
                                       CosSin* angles) {
  constexpr int kAtOnce = Pairs::kAtOnce;
  ROPE_UNROLL
  for (int j = 0; j < kPairs; j += kAtOnce) {
    const auto read = memory.read(reinterpret_cast<const Floats<kAtOnce>*>(row + pairs[j]));
    ROPE_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      (kSine ? angles[j + i].sin : angles[j + i].cos) = read.values[i];
    }
  }
}

// The same from any table.
template <bool kSine, int kPairs, class Pairs, class Memory>
ROPE_HOST_DEVICE void read_row(const Memory& memory, const Table& table, int64_t row,
                               const Pairs& pairs, CosSin* angles) {
  const void* data = kSine ? table.sin : table.cos;
  constexpr int kAtOnce = Pairs::kAtOnce;
  if constexpr (kAtOnce > 1) {
    const float* floats = static_cast<const float*>(data) + row;
    const bool aligned = reinterpret_cast<uintptr_t>(floats) % sizeof(Floats<kAtOnce>) == 0;
    if (table.dtype == Dtype::kFloat32 && table.stride_pair == 1 && aligned) {
      return read_aligned_row<kSine, kPairs>(memory, floats, pairs, angles);
    }
  }
  ROPE_UNROLL
  for (int j = 0; j < kPairs; ++j) {
    const float value = read_value(memory, data, table.dtype, row + pairs[j] * table.stride_pair);
    (kSine ? angles[j].sin : angles[j].cos) = value;
  }
}

template <int kPairs>
ROPE_HOST_DEVICE void set_no_angles(CosSin* angles) {
  ROPE_UNROLL
  for (int j = 0; j < kPairs; ++j) angles[j] = no_angle();
}

// Of a call with any number of axes, for the head that is given. The first axis is the one that
// every call has: its position is read once, the others' again for each pair, which costs no
// registers.
template <int kPairs, class Pairs, class Memory>
ROPE_HOST_DEVICE void compute_any_angles(const Memory& memory, const Params& params,
                                         const Token& token, const Origin& origin, int64_t head,
                                         const Pairs& pairs, CosSin* angles) {
  const Frequencies& frequencies = params.frequencies;
  if (frequencies.turns == nullptr) return set_no_angles<kPairs>(angles);
  const uint64_t position = position_of(memory, params.axes[0], token, origin);
  const int64_t own = head * frequencies.stride_head;
  ROPE_UNROLL
  for (int j = 0; j < kPairs; ++j) {
    uint64_t turns = memory.turns(frequencies, own + pairs[j]);
    uint64_t phase = position * turns;
    bool invalid = turns == kInvalidTurns;
    // Unrolled, the loop that calls of one axis never enter would be half of the code.
#if defined(__CUDACC__)
#pragma unroll 1
#endif
    for (int32_t a = 1; a < params.num_axes; ++a) {
      turns = memory.turns(frequencies, a * frequencies.stride_axis + own + pairs[j]);
      phase += position_of(memory, params.axes[a], token, origin) * turns;
      invalid |= turns == kInvalidTurns;
    }
    angles[j] =
        computed_angle(phase, frequencies.attention_factor, frequencies.may_be_invalid && invalid);
  }
}

template <int kPairs, class Pairs, class Memory>
ROPE_HOST_DEVICE void any_angles(const Memory& memory, const Params& params, const Token& token,
                                 int64_t head, const Pairs& pairs, CosSin* angles) {
  const Origin origin = origin_of(memory, params, token);
  int64_t row = -1;
  if (params.table.cos != nullptr) row = table_row(memory, params, token, origin, head);
  if (row >= 0) {
    read_row<false, kPairs>(memory, params.table, row, pairs, angles);
    read_row<true, kPairs>(memory, params.table, row, pairs, angles);
  } else {
    compute_any_angles<kPairs>(memory, params, token, origin, head, pairs, angles);
  }
}

// Of a common call: one axis, frequencies that are numbers.
template <int kPairs, class Pairs, class Memory>
ROPE_HOST_DEVICE void compute_common_angles(const Memory& memory, const Params& params,
                                            uint64_t position, const Pairs& pairs, CosSin* angles) {
  uint64_t turns[kPairs];
  ROPE_UNROLL
  for (int run = 0; run < Pairs::kRuns; ++run) {
    memory.template turns<Pairs::kRun>(params.frequencies, pairs.first[run],
                                       turns + run * Pairs::kRun);
  }
  ROPE_UNROLL
  for (int j = 0; j < kPairs; ++j) {
    angles[j] = computed_angle(position * turns[j], params.frequencies.attention_factor, false);
  }
}

template <int kPairs, class Pairs, class Memory>
ROPE_HOST_DEVICE void common_table_angles(const Memory& memory, const Params& params,
                                          const Token& token, const Origin& origin,
                                          const Pairs& pairs, CosSin* angles) {
  const Table& table = params.table;
  const int64_t row = table_row(memory, params, token, origin, 0);
  if (row >= 0) {
    read_aligned_row<false, kPairs>(memory, static_cast<const float*>(table.cos) + row, pairs,
                                    angles);
    read_aligned_row<true, kPairs>(memory, static_cast<const float*>(table.sin) + row, pairs,
                                   angles);
  } else if (params.frequencies.turns == nullptr) {
    set_no_angles<kPairs>(angles);
  } else {
    const uint64_t position = position_of(memory, params.axes[0], token, origin);
    compute_common_angles<kPairs>(memory, params, position, pairs, angles);
  }
}

// What head is given counts where angles differ by head, which is never so in a common call.
template <Source kSource, int kPairs, class Pairs, class Memory>
ROPE_HOST_DEVICE void angles_of(const Memory& memory, const Params& params, const Token& token,
                                int64_t head, const Pairs& pairs, CosSin* angles) {
  if constexpr (kSource == Source::kGeneral) {
    any_angles<kPairs>(memory, params, token, head, pairs, angles);
  } else {
    const Origin origin = batch_origin(memory, params, token);
    if constexpr (kSource == Source::kTable) {
      common_table_angles<kPairs>(memory, params, token, origin, pairs, angles);
    } else {
      const uint64_t position = position_of(memory, params.axes[0], token, origin);
      compute_common_angles<kPairs>(memory, params, position, pairs, angles);
    }
  }
  if (params.inverse) {
    ROPE_UNROLL
    for (int j = 0; j < kPairs; ++j) angles[j].sin = negate(angles[j].sin);
  }
}

}  // namespace ROPE_TARGET
}  // namespace rope
