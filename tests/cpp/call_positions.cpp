// Where tokens stand: positions on their axes, offsets, and the starts of sequences.
#include <iterator>
#include <limits>
#include <vector>

#include "call_parts.h"

namespace rope::test {
namespace {

// `count` integers at a stride, by a function of their number.
template <class Value>
IntegerArray add_integers(Parts& parts, const char* name, Integer type, int64_t count,
                          int64_t stride, Value&& value) {
  const int64_t size = size_in_bytes(type);
  uint8_t* const data = parts.add_block(name, ((count - 1) * stride + 1) * size);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t wide = value(i);
    const auto narrow = static_cast<int32_t>(wide);
    const void* const source = size == 4 ? static_cast<const void*>(&narrow) : &wide;
    std::memcpy(data + i * stride * size, source, static_cast<size_t>(size));
  }
  return {data, type, stride};
}

// Half of them where int32, the table or int64 ends.
int64_t any_position(Stream& stream) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  constexpr int64_t kExtremes[] = {0,
                                   -1,
                                   kMost,
                                   -kMost,
                                   -kMost - 1,
                                   int64_t{1} << 20,
                                   (int64_t{1} << 31) - 1,
                                   int64_t{1} << 31,
                                   -(int64_t{1} << 31),
                                   int64_t{1} << 40,
                                   int64_t{1} << 62,
                                   -(int64_t{1} << 62)};
  const uint64_t choice = stream();
  const uint64_t bits = stream();
  if (choice % 2 == 0) return kExtremes[(choice >> 1) % std::size(kExtremes)];
  return static_cast<int64_t>(bits);
}

int64_t usual_position(Stream& stream, int64_t least) {
  const auto range = static_cast<uint64_t>(kUsualPositions - least);
  return least + static_cast<int64_t>(stream() % range);
}

// Negative positions, where least allows them, skip their tokens. Gaps between the strides hold
// positions too, for a read beside its place to find.
void add_positions(Parts& parts, uint64_t axis, Integer type, const Strides& stride,
                   int64_t least) {
  const Case& spec = parts.spec;
  const auto draw = [&](Stream& stream) {
    const bool any = spec.positions == Positions::kAnyInt64;
    return any ? any_position(stream) : usual_position(stream, least);
  };
  const int64_t last = (spec.batches - 1) * stride.batch + (spec.tokens - 1) * stride.token;
  std::vector<int64_t> values(static_cast<size_t>(last + 1));
  Stream gaps = parts.stream(Purpose::kGaps, axis);
  for (int64_t& value : values) value = draw(gaps);
  Stream stream = parts.stream(Purpose::kAxis, axis);
  for (int64_t batch = 0; batch < spec.batches; ++batch) {
    for (int64_t token = 0; token < spec.tokens; ++token) {
      values[static_cast<size_t>(batch * stride.batch + token * stride.token)] = draw(stream);
    }
  }
  const auto value = [&](int64_t i) { return values[static_cast<size_t>(i)]; };
  const IntegerArray array = add_integers(parts, "positions", type, last + 1, 1, value);
  parts.call.params.axes[axis] = {array.data, type, stride.batch, stride.token, least < 0};
}

void add_ragged(Parts& parts) {
  // The first, the third and the last sequence are empty.
  const int64_t tokens = parts.spec.tokens;
  const int64_t starts[] = {0, 0, tokens / 4, tokens / 4, tokens / 4 * 3, tokens, tokens};
  const bool wide = parts.spec.sequences == Sequences::kRaggedWithOffsets;
  parts.call.params.num_sequences = 6;
  parts.call.params.cu_seqlens =
      add_integers(parts, "cu_seqlens", wide ? Integer::kInt64 : Integer::kInt32, 7, wide ? 2 : 1,
                   [&](int64_t i) { return starts[i]; });
}

}  // namespace

void add_sequences(Parts& parts) {
  const auto offset = [](int64_t i) { return i % 2 == 0 ? 5 + i : -3; };
  if (is_ragged(parts.spec)) add_ragged(parts);
  IntegerArray& offsets = parts.call.params.offsets;
  switch (parts.spec.sequences) {
    case Sequences::kRaggedWithOffsets:
      offsets = add_integers(parts, "offsets", Integer::kInt64, 6, 1, offset);
      break;
    case Sequences::kOffsets:
      offsets = add_integers(parts, "offsets", Integer::kInt64, parts.spec.batches, 1, offset);
      break;
    case Sequences::kStridedOffsets:
      offsets = add_integers(parts, "offsets", Integer::kInt32, parts.spec.batches, 3, offset);
      break;
    default:
      break;
  }
}

void add_axes(Parts& parts) {
  Params& params = parts.call.params;
  const int64_t tokens = parts.spec.tokens;
  const Strides dense = {tokens, 1, 0};
  const auto add = [&](uint64_t axis, Integer type, const Strides& stride, int64_t least) {
    add_positions(parts, axis, type, stride, least);
  };
  switch (parts.spec.positions) {
    case Positions::kCounted:
      return;
    case Positions::kInt32:
      return add(0, Integer::kInt32, dense, 0);
    case Positions::kShared:
      return add(0, Integer::kInt64, {0, 1, 0}, 0);
    case Positions::kStrided:
      return add(0, Integer::kInt32, {3 * tokens + 2, 3, 0}, 0);
    case Positions::kSkipping:
      return add(0, Integer::kInt64, dense, -32);
    case Positions::kThreeAxes:
      params.num_axes = 3;
      for (uint64_t axis = 0; axis < 3; ++axis) add(axis, Integer::kInt64, dense, 0);
      return;
    case Positions::kEightAxes:
      params.num_axes = 8;
      for (uint64_t axis = 0; axis < 8; ++axis) {
        const Integer type = axis % 2 == 0 ? Integer::kInt32 : Integer::kInt64;
        add(axis, type, dense, axis % 4 == 1 ? -8 : 0);
      }
      return;
    case Positions::kCountedAndGiven:
      params.num_axes = 2;
      return add(1, Integer::kInt32, dense, 0);
    case Positions::kInt64:
    case Positions::kAnyInt64:
      return add(0, Integer::kInt64, dense, 0);
  }
}

}  // namespace rope::test
