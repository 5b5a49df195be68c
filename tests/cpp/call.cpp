// Makes a case concrete, says what it may touch, and compares two calls byte by byte.
#include "call.h"

#include <algorithm>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "call_parts.h"
#include "formats.h"

namespace rope::test {
namespace {

void allow(Call& call, const void* array, int64_t size, int64_t index, uint8_t access) {
  const auto* const address = static_cast<const uint8_t*>(array) + index * size;
  for (Block& block : call.blocks) {
    if (block.contains(address)) return block.allow(address, static_cast<size_t>(size), access);
  }
  throw std::out_of_range("a call that points outside its blocks");
}

void mark_heads(Call& call, const Heads& heads) {
  const int64_t size = size_in_bytes(call.params.dtype);
  for_each_element(call.params, heads.num_heads, heads.in_stride,
                   [&](int64_t index) { allow(call, heads.in, size, index, kMayRead); });
  for_each_element(call.params, heads.num_heads, heads.out_stride,
                   [&](int64_t index) { allow(call, heads.out, size, index, kMayWrite); });
}

void mark_array(Call& call, const IntegerArray& array, int64_t count) {
  if (array.data == nullptr) return;
  for (int64_t i = 0; i < count; ++i) {
    allow(call, array.data, size_in_bytes(array.type), i * array.stride, kMayRead);
  }
}

void mark_positions(Call& call) {
  const Params& params = call.params;
  for (const Axis& axis : params.axes) {
    if (axis.positions == nullptr) continue;
    for (int64_t batch = 0; batch < params.num_batches; ++batch) {
      for (int64_t token = 0; token < params.num_tokens; ++token) {
        const int64_t index = batch * axis.stride_batch + token * axis.stride_token;
        allow(call, axis.positions, size_in_bytes(axis.type), index, kMayRead);
      }
    }
  }
  const bool ragged = params.num_sequences > 0;
  mark_array(call, params.offsets, ragged ? params.num_sequences : params.num_batches);
  mark_array(call, params.cu_seqlens, params.num_sequences + 1);
}

void mark_turns(Call& call, int64_t heads) {
  const Frequencies& frequencies = call.params.frequencies;
  if (frequencies.turns == nullptr) return;
  for (int64_t axis = 0; axis < call.params.num_axes; ++axis) {
    for (int64_t head = 0; head < heads; ++head) {
      for (int64_t pair = 0; pair < call.params.rotary_dim / 2; ++pair) {
        const int64_t index =
            axis * frequencies.stride_axis + head * frequencies.stride_head + pair;
        allow(call, frequencies.turns, 8, index, kMayRead);
      }
    }
  }
}

void mark_row(Call& call, int64_t row, int64_t heads) {
  const Table& table = call.params.table;
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t pair = 0; pair < call.params.rotary_dim / 2; ++pair) {
      const int64_t index = row + head * table.stride.head + pair * table.stride_pair;
      allow(call, table.cos, size_in_bytes(table.dtype), index, kMayRead);
      allow(call, table.sin, size_in_bytes(table.dtype), index, kMayRead);
    }
  }
}

void mark_table(Call& call, int64_t heads) {
  const Table& table = call.params.table;
  if (table.cos == nullptr) return;
  if (!table.per_token) {
    for (int64_t row = 0; row < table.num_rows; ++row) mark_row(call, row * table.stride.token, 1);
    return;
  }
  for (int64_t batch = 0; batch < call.params.num_batches; ++batch) {
    for (int64_t token = 0; token < call.params.num_tokens; ++token) {
      mark_row(call, batch * table.stride.batch + token * table.stride.token, heads);
    }
  }
}

// Elements of rotated data; the rest of what a block holds is compared a byte at a time.
bool equal_at(Dtype dtype, const Block& expected, const Block& got, size_t byte) {
  const uint8_t* const a = expected.data() + byte;
  const uint8_t* const b = got.data() + byte;
  const uint32_t expected_bits = bits_at(dtype, a);
  const uint32_t got_bits = bits_at(dtype, b);
  if (expected_bits == got_bits) return true;
  const Format format = format_of(dtype);
  return expected.allows(byte, kMayWrite) && is_nan(format, expected_bits) &&
         is_nan(format, got_bits);
}

std::string difference_in(Dtype dtype, const Block& expected, const Block& got) {
  if (std::equal(expected.data(), expected.data() + expected.size(), got.data())) return "";
  const size_t step = expected.holds_data() ? static_cast<size_t>(size_in_bytes(dtype)) : 1;
  for (size_t byte = 0; byte < expected.size(); byte += step) {
    std::ostringstream text;
    text << "byte " << byte << " of the " << expected.size() << " of " << expected.name();
    if (!expected.holds_data()) {
      if (expected.data()[byte] == got.data()[byte]) continue;
      return text.str() + " was written";
    }
    if (equal_at(dtype, expected, got, byte)) continue;
    text << (expected.allows(byte, kMayWrite) ? "" : ", which is not rotated,") << std::hex
         << " is 0x" << bits_at(dtype, got.data() + byte) << " instead of 0x"
         << bits_at(dtype, expected.data() + byte);
    return text.str();
  }
  return "";
}

}  // namespace

void mark_accesses(Call& call) {
  const int64_t heads = std::max(call.params.q.num_heads, call.params.k.num_heads);
  mark_heads(call, call.params.q);
  mark_heads(call, call.params.k);
  mark_positions(call);
  mark_turns(call, call.params.frequencies.stride_head == 0 ? 1 : heads);
  mark_table(call, call.params.table.stride.head == 0 ? 1 : heads);
}

Call make_call(const Case& spec) {
  Parts parts(spec);
  Params& params = parts.call.params;
  params.dtype = spec.dtype;
  params.pairing = spec.pairing;
  params.rotary_dim = spec.rotary_dim;
  params.inverse = spec.inverse;
  params.num_batches = spec.batches;
  params.num_tokens = spec.tokens;
  params.q.num_heads = spec.q_heads;
  params.k.num_heads = spec.k_heads;
  add_tensors(parts);
  add_sequences(parts);
  add_axes(parts);
  add_turns(parts);
  add_table(parts);
  mark_accesses(parts.call);
  return std::move(parts.call);
}

std::string first_difference(const Call& expected, const Call& got) {
  for (size_t i = 0; i < expected.blocks.size(); ++i) {
    const std::string text =
        difference_in(expected.params.dtype, expected.blocks[i], got.blocks[i]);
    if (!text.empty()) return text;
  }
  return "";
}

size_t count_missing_stores(const Call& call) {
  size_t missing = 0;
  for (const Block& block : call.blocks) {
    for (size_t byte = 0; byte < block.size(); ++byte) {
      const bool is_output = block.allows(byte, kMayWrite) && !block.allows(byte, kMayRead);
      missing += is_output && block.stores(byte) == 0;
    }
  }
  return missing;
}

}  // namespace rope::test
