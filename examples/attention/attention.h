// An attention layer with grouped queries, a rotary embedding and a KV cache, as a model runs it.
#pragma once

#include <ATen/core/Tensor.h>
#include <rope/rope.h>

#include <cstdint>

struct Layer {
  int64_t num_heads_q = 0;  // a multiple of num_heads_k
  int64_t num_heads_k = 0;
  int64_t head_dim = 0;
  at::Tensor qkv_weight;   // ((num_heads_q + 2 · num_heads_k) · head_dim, hidden)
  at::Tensor out_weight;   // (hidden, num_heads_q · head_dim)
  rope::Options rotation;  // with inv_freq
};

// The first `length` tokens of keys, rotated, and of values; (batch, capacity, num_heads_k,
// head_dim).
struct KvCache {
  at::Tensor keys;
  at::Tensor values;
  int64_t length = 0;
};

KvCache make_cache(const Layer& layer, int64_t batch, int64_t capacity);

// The layer's output (batch, tokens, hidden) for x, of the same shape: the tokens that follow those
// in the cache, which takes them in. All tokens at once into an empty cache, then one by one.
at::Tensor attend(const Layer& layer, const at::Tensor& x, KvCache& cache);
