// What a token knows of itself: its positions, whether it is skipped, its table row.
// Integer arithmetic on Params alone, shared by thread.h and cpu/; all sums wrap mod 2^64.
#pragma once

#include <cstdint>

#include <rope/params.h>

#include "target.h"

namespace rope {

struct Token {
  int64_t batch;
  int64_t index;  // in its batch
};

// Where a token's sequence starts in its batch, and what is added to positions in that sequence.
struct Origin {
  uint64_t start;
  uint64_t offset;
};

inline namespace ROPE_TARGET {

template <class Memory>
ROPE_HOST_DEVICE int64_t read_integer(const Memory& memory, const void* data, Integer type,
                                      int64_t index) {
  return type == Integer::kInt32 ? memory.read(static_cast<const int32_t*>(data) + index)
                                 : memory.read(static_cast<const int64_t*>(data) + index);
}

template <class Memory>
ROPE_HOST_DEVICE int64_t read_integer(const Memory& memory, const IntegerArray& array,
                                      int64_t index) {
  return read_integer(memory, array.data, array.type, index * array.stride);
}

// The last sequence that starts at or before the token. For starts that do not ascend the answer
// is unspecified, but always a sequence that exists.
template <class Memory>
ROPE_HOST_DEVICE int64_t sequence_of(const Memory& memory, const Params& params, int64_t token) {
  int64_t first = 0;
  int64_t last = params.num_sequences - 1;
  while (first < last) {
    const int64_t middle = first + (last - first + 1) / 2;
    if (read_integer(memory, params.cu_seqlens, middle) <= token) {
      first = middle;
    } else {
      last = middle - 1;
    }
  }
  return first;
}

template <class Memory>
ROPE_HOST_DEVICE uint64_t offset_of(const Memory& memory, const Params& params, int64_t sequence) {
  if (params.offsets.data == nullptr) return 0;
  return static_cast<uint64_t>(read_integer(memory, params.offsets, sequence));
}

// Where each batch is one sequence.
template <class Memory>
ROPE_HOST_DEVICE Origin batch_origin(const Memory& memory, const Params& params,
                                     const Token& token) {
  return {0, offset_of(memory, params, token.batch)};
}

template <class Memory>
ROPE_HOST_DEVICE Origin origin_of(const Memory& memory, const Params& params, const Token& token) {
  if (params.num_sequences == 0) return batch_origin(memory, params, token);
  const int64_t sequence = sequence_of(memory, params, token.index);
  const int64_t start = read_integer(memory, params.cu_seqlens, sequence);
  return {static_cast<uint64_t>(start), offset_of(memory, params, sequence)};
}

template <class Memory>
ROPE_HOST_DEVICE int64_t given_position(const Memory& memory, const Axis& axis,
                                        const Token& token) {
  const int64_t index = token.batch * axis.stride_batch + token.index * axis.stride_token;
  return read_integer(memory, axis.positions, axis.type, index);
}

template <class Memory>
ROPE_HOST_DEVICE uint64_t position_of(const Memory& memory, const Axis& axis, const Token& token,
                                      const Origin& origin) {
  const auto index = static_cast<uint64_t>(token.index);
  const uint64_t position = axis.positions == nullptr
                                ? index - origin.start
                                : static_cast<uint64_t>(given_position(memory, axis, token));
  return position + origin.offset;
}

// Whether the token's value on this axis says that it stays as it is.
template <class Memory>
ROPE_HOST_DEVICE bool is_skipped_by(const Memory& memory, const Axis& axis, const Token& token) {
  return axis.skip_negative && axis.positions != nullptr && given_position(memory, axis, token) < 0;
}

template <class Memory>
ROPE_HOST_DEVICE bool is_skipped(const Memory& memory, const Params& params, const Token& token) {
  bool skipped = false;
  for (int32_t a = 0; a < params.num_axes; ++a) {
    skipped |= is_skipped_by(memory, params.axes[a], token);
  }
  return skipped;
}

// Element index of the token's table row for a head, or −1 where the table has none.
template <class Memory>
ROPE_HOST_DEVICE int64_t table_row(const Memory& memory, const Params& params, const Token& token,
                                   const Origin& origin, int64_t head) {
  const Table& table = params.table;
  if (table.per_token) {
    return token.batch * table.stride.batch + token.index * table.stride.token +
           head * table.stride.head;
  }
  const uint64_t row = position_of(memory, params.axes[0], token, origin);
  if (row >= static_cast<uint64_t>(table.num_rows)) return -1;
  return static_cast<int64_t>(row) * table.stride.token + head * table.stride.head;
}

}  // namespace ROPE_TARGET
}  // namespace rope
