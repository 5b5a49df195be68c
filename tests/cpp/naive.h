// The oracle of a whole call: the contract of params.h, spelt out plainly in long double, with the
// bounds of the numeric contract. Shares no code with kernels/. For the tests that compare.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include <rope/params.h>

#include "formats.h"
#include "reference.h"

namespace rope::test {

// What must stand at an output element after the call.
struct Expectation {
  enum class Kind { kNumber, kNaN, kCopy, kAnything };
  const void* out;
  Kind kind;
  long double value;  // of a number
  long double slack;  // besides the rounding to the type: half an ulp, and half the smallest number
  uint32_t bits;      // of a copy
};

// An angle, and how far a rotation by it may be off: slack · 2^-24 · ‖pair‖.
struct NaiveAngle {
  bool is_nan = false;
  long double cos = 0;
  long double sin = 0;
  long double slack = 0;
};

class NaiveRotation {
 public:
  explicit NaiveRotation(const Params& params) : params_(params) {}

  // Reads the inputs: before the call that overwrites them.
  std::vector<Expectation> expectations() {
    expectations_.clear();
    for (int64_t batch = 0; batch < params_.num_batches; ++batch) {
      for (int64_t token = 0; token < params_.num_tokens; ++token) {
        add_heads(params_.q, batch, token);
        add_heads(params_.k, batch, token);
      }
    }
    return expectations_;
  }

 private:
  static int64_t integer_at(const void* data, Integer type, int64_t index) {
    if (type == Integer::kInt32) return static_cast<const int32_t*>(data)[index];
    return static_cast<const int64_t*>(data)[index];
  }
  static int64_t integer_at(const IntegerArray& array, int64_t i) {
    return integer_at(array.data, array.type, i * array.stride);
  }

  int64_t sequence_of(int64_t batch, int64_t token) const {
    if (params_.num_sequences == 0) return batch;
    for (int64_t i = 0;; ++i) {
      if (token < integer_at(params_.cu_seqlens, i + 1)) return i;
    }
  }

  int64_t given(const Axis& axis, int64_t batch, int64_t token) const {
    return integer_at(axis.positions, axis.type,
                      batch * axis.stride_batch + token * axis.stride_token);
  }

  uint64_t position(const Axis& axis, int64_t batch, int64_t token) const {
    const int64_t sequence = sequence_of(batch, token);
    const int64_t start = params_.num_sequences == 0 ? 0 : integer_at(params_.cu_seqlens, sequence);
    const int64_t own = axis.positions == nullptr ? token - start : given(axis, batch, token);
    const int64_t offset =
        params_.offsets.data == nullptr ? 0 : integer_at(params_.offsets, sequence);
    return static_cast<uint64_t>(own) + static_cast<uint64_t>(offset);
  }

  bool is_skipped(int64_t batch, int64_t token) const {
    return std::any_of(params_.axes, params_.axes + params_.num_axes, [&](const Axis& axis) {
      return axis.skip_negative && axis.positions != nullptr && given(axis, batch, token) < 0;
    });
  }

  NaiveAngle table_angle(int64_t row, int64_t head, int64_t pair) const {
    const Table& table = params_.table;
    const int64_t size = table.dtype == Dtype::kFloat32 ? 4 : 2;
    const int64_t offset = (row + head * table.stride.head + pair * table.stride_pair) * size;
    NaiveAngle angle;
    angle.cos = value_at(table.dtype, static_cast<const char*>(table.cos) + offset);
    angle.sin = value_at(table.dtype, static_cast<const char*>(table.sin) + offset);
    // One rounded product and, in 16-bit types, the rounding to float32: two halves of 2^-23.
    angle.slack = 2.1L * std::hypot(angle.cos, angle.sin);
    return angle;
  }

  NaiveAngle computed_angle(int64_t batch, int64_t token, int64_t head, int64_t pair) const {
    const Frequencies& frequencies = params_.frequencies;
    NaiveAngle angle;
    angle.is_nan = frequencies.turns == nullptr;
    uint64_t phase = 0;
    for (int64_t a = 0; a < params_.num_axes && !angle.is_nan; ++a) {
      const uint64_t turns =
          frequencies.turns[a * frequencies.stride_axis + head * frequencies.stride_head + pair];
      phase += position(params_.axes[a], batch, token) * turns;
      angle.is_nan = frequencies.may_be_invalid && turns == kInvalidTurns;
    }
    const LongCosSin exact = long_cos_sin(phase);
    const long double factor = frequencies.attention_factor;
    angle.cos = factor * exact.cos;
    angle.sin = factor * exact.sin;
    angle.slack = factor == 1 ? 3.1L : 5.1L * factor;  // the contract
    return angle;
  }

  NaiveAngle angle_of(int64_t batch, int64_t token, int64_t head, int64_t pair) const {
    const Table& table = params_.table;
    if (table.cos == nullptr) return computed_angle(batch, token, head, pair);
    if (table.per_token) {
      return table_angle(batch * table.stride.batch + token * table.stride.token, head, pair);
    }
    const uint64_t row = position(params_.axes[0], batch, token);
    if (row >= static_cast<uint64_t>(table.num_rows)) {
      return computed_angle(batch, token, head, pair);
    }
    return table_angle(static_cast<int64_t>(row) * table.stride.token, head, pair);
  }

  void add_heads(const Heads& heads, int64_t batch, int64_t token) {
    const int64_t size = params_.dtype == Dtype::kFloat32 ? 4 : 2;
    const int64_t half = params_.rotary_dim / 2;
    const bool interleaved = params_.pairing == Pairing::kInterleaved;
    for (int64_t head = 0; head < heads.num_heads; ++head) {
      const auto offset = [&](const Strides& stride) {
        return (batch * stride.batch + token * stride.token + head * stride.head) * size;
      };
      const char* const in = static_cast<const char*>(heads.in) + offset(heads.in_stride);
      const char* const out = static_cast<const char*>(heads.out) + offset(heads.out_stride);
      for (int64_t pair = 0; pair < half; ++pair) {
        const int64_t x = (interleaved ? 2 * pair : pair) * size;
        const int64_t y = (interleaved ? 2 * pair + 1 : pair + half) * size;
        const NaiveAngle angle = angle_of(batch, token, head, pair);
        const bool skipped = is_skipped(batch, token);
        add_pair(in + x, in + y, out + x, out + y, skipped, angle);
      }
    }
  }

  void add_pair(const void* in_x, const void* in_y, const void* out_x, const void* out_y,
                bool skipped, const NaiveAngle& angle) {
    using Kind = Expectation::Kind;
    if (skipped) {
      expectations_.push_back({out_x, Kind::kCopy, 0, 0, bits_at(params_.dtype, in_x)});
      expectations_.push_back({out_y, Kind::kCopy, 0, 0, bits_at(params_.dtype, in_y)});
      return;
    }
    const long double x = value_at(params_.dtype, in_x);
    const long double y = value_at(params_.dtype, in_y);
    const long double sin = params_.inverse ? -angle.sin : angle.sin;
    const long double slack = angle.slack * 0x1p-24L * std::hypot(x, y);
    add_number(out_x, x * angle.cos - y * sin, slack, angle.is_nan);
    add_number(out_y, x * sin + y * angle.cos, slack, angle.is_nan);
  }

  // The contract holds while results are finite in the type; what lies above, or comes of an
  // infinity, is rotation_test.cpp's matter.
  void add_number(const void* out, long double value, long double slack, bool is_nan) {
    using Kind = Expectation::Kind;
    const Format format = format_of(params_.dtype);
    const long double largest = decode(format, format.infinity() - 1);
    const bool finite = std::fabs(value) + slack < largest;  // false for NaN
    const Kind kind = is_nan ? Kind::kNaN : (finite ? Kind::kNumber : Kind::kAnything);
    expectations_.push_back({out, kind, value, slack, 0});
  }

  const Params& params_;
  std::vector<Expectation> expectations_;
};

inline bool is_met(Dtype dtype, const Expectation& expected) {
  using Kind = Expectation::Kind;
  const Format format = format_of(dtype);
  const uint32_t bits = bits_at(dtype, expected.out);
  if (expected.kind == Kind::kCopy) return bits == expected.bits;
  if (expected.kind == Kind::kNaN) return is_nan(format, bits);
  if (expected.kind == Kind::kAnything) return true;
  const long double got = decode(format, bits);
  if (!std::isfinite(got)) return false;
  const long double largest = std::max(std::fabs(got), std::fabs(expected.value));
  const long double smallest = decode(format, 1);
  const long double bound = ulp(format, largest) / 2 + expected.slack + smallest / 2;
  return std::fabs(got - expected.value) <= bound;
}

// Says which expectation is not met, or nothing.
inline std::string first_unmet(Dtype dtype, const std::vector<Expectation>& expectations) {
  for (size_t i = 0; i < expectations.size(); ++i) {
    const Expectation& expected = expectations[i];
    if (is_met(dtype, expected)) continue;
    std::ostringstream text;
    text << "component " << i << ": " << value_at(dtype, expected.out) << " instead of "
         << expected.value << " ± " << expected.slack;
    return text.str();
  }
  return "";
}

}  // namespace rope::test
