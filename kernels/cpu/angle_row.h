// All cosines and sines of a token, made once for its heads: a table row, or phases in a loop that
// the compiler vectorises. For traverse.h, which also fills tables with it.
#pragma once

#include <cstdint>
#include <cstring>

#include "../angles.h"
#include "../memory.h"

namespace rope {
inline namespace ROPE_TARGET {

// cos and sin may be any two arrays of count floats.
inline void cos_sin_row(const uint64_t* phases, int32_t count, float factor, float* cos,
                        float* sin) {
  for (int32_t i = 0; i < count; ++i) {
    const CosSin angle = computed_angle(phases[i], factor, false);
    cos[i] = angle.cos;
    sin[i] = angle.sin;
  }
}

inline void set_nan(const uint64_t* turns, int32_t count, float* cos, float* sin) {
  const CosSin none = no_angle();
  for (int32_t i = 0; i < count; ++i) {
    if (turns[i] != kInvalidTurns) continue;
    cos[i] = none.cos;
    sin[i] = none.sin;
  }
}

inline void compute_angle_row(const Params& params, const Token& token, const Origin& origin,
                              int64_t head, float* cos, float* sin) {
  const Frequencies& frequencies = params.frequencies;
  const int32_t half = params.rotary_dim / 2;
  if (frequencies.turns == nullptr) {
    const CosSin none = no_angle();
    for (int32_t i = 0; i < half; ++i) {
      cos[i] = none.cos;
      sin[i] = none.sin;
    }
    return;
  }
  const HostMemory memory;
  const uint64_t* own = frequencies.turns + head * frequencies.stride_head;
  uint64_t phases[kMaxRotaryDim / 2];
  for (int32_t a = 0; a < params.num_axes; ++a) {
    const uint64_t position = position_of(memory, params.axes[a], token, origin);
    const uint64_t* turns = own + a * frequencies.stride_axis;
    for (int32_t i = 0; i < half; ++i) {
      phases[i] = (a == 0 ? 0 : phases[i]) + position * turns[i];
    }
  }
  cos_sin_row(phases, half, frequencies.attention_factor, cos, sin);
  if (!frequencies.may_be_invalid) return;
  for (int32_t a = 0; a < params.num_axes; ++a) {
    set_nan(own + a * frequencies.stride_axis, half, cos, sin);
  }
}

inline void read_table_row(const Table& table, int64_t row, int32_t half, float* cos, float* sin) {
  if (table.dtype == Dtype::kFloat32 && table.stride_pair == 1) {
    const size_t bytes = static_cast<size_t>(half) * sizeof(float);
    std::memcpy(cos, static_cast<const float*>(table.cos) + row, bytes);
    std::memcpy(sin, static_cast<const float*>(table.sin) + row, bytes);
    return;
  }
  const HostMemory memory;
  for (int32_t i = 0; i < half; ++i) {
    const int64_t index = row + i * table.stride_pair;
    cos[i] = read_value(memory, table.cos, table.dtype, index);
    sin[i] = read_value(memory, table.sin, table.dtype, index);
  }
}

// In the natural order of the pairs.
inline void make_angle_row(const Params& params, const Token& token, int64_t head, float* cos,
                           float* sin) {
  const HostMemory memory;
  const Origin origin = origin_of(memory, params, token);
  const int32_t half = params.rotary_dim / 2;
  int64_t row = -1;
  if (params.table.cos != nullptr) row = table_row(memory, params, token, origin, head);
  if (row >= 0) {
    read_table_row(params.table, row, half, cos, sin);
  } else {
    compute_angle_row(params, token, origin, head, cos, sin);
  }
  if (params.inverse) {
    for (int32_t i = 0; i < half; ++i) sin[i] = negate(sin[i]);
  }
}

}  // namespace ROPE_TARGET
}  // namespace rope
