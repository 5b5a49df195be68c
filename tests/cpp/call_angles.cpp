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

void put(Parts& parts, const void* data, int64_t index, uint32_t bits) {
  const int64_t size = size_in_bytes(parts.call.params.table.dtype);
  auto* const bytes = static_cast<uint8_t*>(const_cast<void*>(data));
  std::memcpy(bytes + index * size, &bits, static_cast<size_t>(size));
}

// All rows of the call's table, each with its heads.
void fill_rows(Parts& parts) {
  const Case& spec = parts.spec;
  const Table& table = parts.call.params.table;
  const Format format = format_of(table.dtype);
  const int64_t batches = table.per_token ? spec.batches : 1;
  const int64_t rows = table.per_token ? spec.tokens : table.num_rows;
  const int64_t heads = table.stride.head == 0 ? 1 : heads_of_angles(spec);
  Stream cos = parts.stream(Purpose::kCos);
  Stream sin = parts.stream(Purpose::kSin);
  const auto fill_row = [&](int64_t row) {
    for (int64_t pair = 0; pair < spec.rotary_dim / 2; ++pair) {
      put(parts, table.cos, row + pair * table.stride_pair, ordinary_cosine(format, cos()));
      put(parts, table.sin, row + pair * table.stride_pair, ordinary_cosine(format, sin()));
    }
  };
  for (int64_t batch = 0; batch < batches; ++batch) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t head = 0; head < heads; ++head) {
        fill_row(batch * table.stride.batch + row * table.stride.token + head * table.stride.head);
      }
    }
  }
}

// Rows [cos | sin] with a gap between them.
void add_joined_table(Parts& parts, Dtype dtype, int64_t rows, int64_t gap) {
  const int64_t half = parts.spec.rotary_dim / 2;
  const int64_t stride = 2 * half + gap;
  const int64_t size = size_in_bytes(dtype);
  const int64_t count = rows == 0 ? 0 : rows * stride - gap;
  const uint8_t* const cos = parts.add_block("cos_sin", count * size);
  // The sines of a table without rows have no address of their own.
  const uint8_t* const sin = rows == 0 ? cos : cos + half * size;
  parts.call.params.table = {cos, sin, dtype, false, rows, {0, stride, 0}, 1};
  fill_rows(parts);
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
  const uint8_t* const cos = parts.add_block("cos", count * size_in_bytes(Dtype::kFloat32));
  const uint8_t* const sin = parts.add_block("sin", count * size_in_bytes(Dtype::kFloat32));
  parts.call.params.table = {cos, sin, Dtype::kFloat32, per_token, num_rows, stride, stride_pair};
  fill_rows(parts);
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
  Stream stream = parts.stream(Purpose::kTurns);
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t bits = stream();
    const uint64_t choice = stream();
    const uint64_t magnitude = bits >> (choice % 64);
    turns[i] = choice >> 62 == 0 ? uint64_t{0} - magnitude : magnitude;
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
