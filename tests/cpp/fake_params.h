// Params whose addresses are numbers: for tests of the planner and of the checks, which read none.
#pragma once

#include <cstdint>

#include <rope/params.h>

namespace rope::test {

template <class T = void>
T* fake_address(uint64_t address) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

struct FakeShape {
  int64_t batches = 1;
  int64_t tokens = 128;
  int64_t q_heads = 8;
  int64_t k_heads = 0;
  int32_t rotary_dim = 128;
  Dtype dtype = Dtype::kBFloat16;
};

inline Heads fake_heads(const FakeShape& shape, int64_t num_heads, uint64_t address) {
  Heads heads;
  heads.in = fake_address(address);
  heads.out = fake_address(address);
  heads.num_heads = num_heads;
  const int64_t token = num_heads * shape.rotary_dim;
  heads.in_stride = {shape.tokens * token, token, shape.rotary_dim};
  heads.out_stride = heads.in_stride;
  return heads;
}

// A contiguous call in place with computed angles and counted positions; valid as it is.
inline Params fake_params(const FakeShape& shape) {
  Params params;
  params.dtype = shape.dtype;
  params.rotary_dim = shape.rotary_dim;
  params.num_batches = shape.batches;
  params.num_tokens = shape.tokens;
  params.q = fake_heads(shape, shape.q_heads, 0x10000);
  params.k = fake_heads(shape, shape.k_heads, 0x20000);
  params.frequencies.turns = fake_address<uint64_t>(0x30000);
  return params;
}

}  // namespace rope::test
