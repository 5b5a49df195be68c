// Where angles come from: turns of every magnitude, and tables of cosines and sines that no
// frequency has, so that a computed angle cannot be taken for a row.
#include <algorithm>

#include "call_parts.h"
#include "formats.h"

namespace rope::test {
namespace {

constexpr int64_t kShortRows = 7;

int64_t heads_of_angles(const Case& spec) {
  return std::max(spec.q_heads, spec.k_heads);
}

uint8_t* add_cosines(Parts& parts, const char* name, Dtype dtype, int64_t count) {
  const int64_t size = size_in_bytes(dtype);
  uint8_t* const data = parts.add_block(name, count * size);
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = encode(format_of(dtype), uniform(parts.random));
    std::memcpy(data + i * size, &bits, static_cast<size_t>(size));
  }
  return data;
}

// Rows [cos | sin] with a gap between them.
void add_joined_table(Parts& parts, Dtype dtype, int64_t rows, int64_t gap) {
  const int64_t half = parts.spec.rotary_dim / 2;
  const int64_t stride = 2 * half + gap;
  const int64_t count = rows == 0 ? 0 : rows * stride - gap;
  const uint8_t* const cos = add_cosines(parts, "cos_sin", dtype, count);
  // The sines of a table without rows have no address of their own.
  const uint8_t* const sin = rows == 0 ? cos : cos + half * size_in_bytes(dtype);
  parts.call.params.table = {cos, sin, dtype, false, rows, {0, stride, 0}, 1};
}

// Two arrays of their own; num_rows 0 means a row for each token.
void add_split_table(Parts& parts, int64_t num_rows, const Strides& stride, int64_t stride_pair) {
  const Case& spec = parts.spec;
  const bool per_token = num_rows == 0;
  const int64_t last_head = stride.head == 0 ? 0 : heads_of_angles(spec) - 1;
  const int64_t last_row = per_token
                               ? (spec.batches - 1) * stride.batch +
                                     (spec.tokens - 1) * stride.token + last_head * stride.head
                               : (num_rows - 1) * stride.token;
  const int64_t count = last_row + (spec.rotary_dim / 2 - 1) * stride_pair + 1;
  const uint8_t* const cos = add_cosines(parts, "cos", Dtype::kFloat32, count);
  const uint8_t* const sin = add_cosines(parts, "sin", Dtype::kFloat32, count);
  parts.call.params.table = {cos, sin, Dtype::kFloat32, per_token, num_rows, stride, stride_pair};
}

bool has_turns(Angles angles) {
  return angles != Angles::kForeignTable && angles != Angles::kPerToken &&
         angles != Angles::kPerTokenAndHead;
}

}  // namespace

void add_turns(Parts& parts) {
  const Case& spec = parts.spec;
  if (!has_turns(spec.angles)) return;
  const int64_t half = spec.rotary_dim / 2;
  const bool per_head = spec.angles == Angles::kPerHead;
  const int64_t per_axis = half * (per_head ? heads_of_angles(spec) : 1);
  const int64_t count = parts.call.params.num_axes * per_axis;
  auto* const turns = reinterpret_cast<uint64_t*>(parts.add_block("turns", 8 * count));
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t magnitude = parts.random() >> (parts.random() % 64);
    turns[i] = parts.random() % 4 == 0 ? uint64_t{0} - magnitude : magnitude;
    if (spec.angles == Angles::kInvalidTurns && i % 3 == 1) turns[i] = kInvalidTurns;
  }
  Frequencies& frequencies = parts.call.params.frequencies;
  frequencies.turns = turns;
  frequencies.stride_axis = per_axis;
  frequencies.stride_head = per_head ? half : 0;
  frequencies.may_be_invalid = spec.angles == Angles::kInvalidTurns;
  frequencies.attention_factor = spec.attention_factor;
}

void add_table(Parts& parts) {
  const Case& spec = parts.spec;
  const int64_t half = spec.rotary_dim / 2;
  const int64_t heads = heads_of_angles(spec);
  const Dtype sixteen_bit = spec.dtype == Dtype::kFloat32 ? Dtype::kFloat16 : spec.dtype;
  switch (spec.angles) {
    case Angles::kTable:
      return add_joined_table(parts, Dtype::kFloat32, kUsualPositions, 0);
    case Angles::kPaddedTable:
      return add_joined_table(parts, Dtype::kFloat32, kUsualPositions, 1);
    case Angles::kSixteenBitTable:
      return add_joined_table(parts, sixteen_bit, kUsualPositions, 0);
    case Angles::kStridedTable:
      return add_split_table(parts, kUsualPositions, {0, 2 * half + 3, 0}, 2);
    case Angles::kShortTable:
    case Angles::kForeignTable:
      return add_joined_table(parts, Dtype::kFloat32, kShortRows, 0);
    case Angles::kEmptyTable:
      return add_joined_table(parts, Dtype::kFloat32, 0, 0);
    case Angles::kPerToken:
      return add_split_table(parts, 0, {spec.tokens * half, half, 0}, 1);
    case Angles::kPerTokenAndHead:
      return add_split_table(parts, 0, {spec.tokens * heads * half, heads * half, half}, 1);
    case Angles::kComputed:
    case Angles::kInvalidTurns:
    case Angles::kPerHead:
      return;
  }
}

}  // namespace rope::test
