// How a call is put together: each part adds its blocks and fills in its share of Params.
// For the call*.cpp files alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "call.h"
#include "stream.h"

namespace rope::test {

// Positions that the cases call usual are 0 … 63; tables that are not short have a row for each.
constexpr int64_t kUsualPositions = 64;

inline int64_t size_in_bytes(Dtype dtype) {
  return dtype == Dtype::kFloat32 ? 4 : 2;
}

inline int64_t size_in_bytes(Integer type) {
  return type == Integer::kInt32 ? 4 : 8;
}

inline bool is_ragged(const Case& spec) {
  return spec.sequences == Sequences::kRagged || spec.sequences == Sequences::kRaggedWithOffsets;
}

struct Parts {
  const Case& spec;
  Stream padding;
  Call call;

  explicit Parts(const Case& one) : spec(one), padding(one.seed, Purpose::kPadding), call() {}

  // Values are drawn in the order of the tokens, heads and components that they belong to, never in
  // the order of memory: calls that differ in where things lie hold the same numbers (content_of).
  Stream stream(Purpose purpose, uint64_t number = 0) const {
    return Stream(spec.seed, purpose, number);
  }

  // Random bytes: what nobody may touch shows if somebody did.
  uint8_t* add_block(const char* name, int64_t size, bool holds_data = false) {
    call.blocks.emplace_back(name, static_cast<size_t>(size), holds_data);
    uint8_t* const data = call.blocks.back().data();
    for (int64_t i = 0; i < size; ++i) data[i] = static_cast<uint8_t>(padding());
    return data;
  }
};

// The call's extents and pairing are set before these.
void add_tensors(Parts& parts);
void add_sequences(Parts& parts);
void add_axes(Parts& parts);
void add_turns(Parts& parts);  // after the axes, which they count
void add_table(Parts& parts);

// Marks the bytes that the contract of params.h lets the call read and write, by walking its
// extents: all else stays forbidden.
void mark_accesses(Call& call);

// Visits the element index of each rotated component of a tensor, relative to its first.
template <class Visit>
void for_each_element(const Params& params, int64_t num_heads, const Strides& stride,
                      Visit&& visit) {
  for (int64_t batch = 0; batch < params.num_batches; ++batch) {
    for (int64_t token = 0; token < params.num_tokens; ++token) {
      for (int64_t head = 0; head < num_heads; ++head) {
        const int64_t first = batch * stride.batch + token * stride.token + head * stride.head;
        for (int64_t i = 0; i < params.rotary_dim; ++i) visit(first + i);
      }
    }
  }
}

}  // namespace rope::test
