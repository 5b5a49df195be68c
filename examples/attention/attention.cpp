// Only rope::apply is not torch here: it rotates q and k where the projection wrote them.
#include "attention.h"

#include <ATen/ATen.h>

KvCache make_cache(const Layer& layer, int64_t batch, int64_t capacity) {
  const auto options = layer.qkv_weight.options();
  const at::Tensor keys = at::empty({batch, capacity, layer.num_heads_k, layer.head_dim}, options);
  return {keys, at::empty_like(keys), 0};
}

at::Tensor attend(const Layer& layer, const at::Tensor& x, KvCache& cache) {
  const int64_t batch = x.size(0);
  const int64_t tokens = x.size(1);
  TORCH_CHECK(cache.length == 0 || tokens == 1, "one token at a time after the first call");
  const at::NoGradGuard no_grad;

  const int64_t num_heads = layer.num_heads_q + 2 * layer.num_heads_k;
  const at::Tensor qkv =
      at::linear(x, layer.qkv_weight).view({batch, tokens, num_heads, layer.head_dim});
  const at::Tensor q = qkv.narrow(2, 0, layer.num_heads_q);
  const at::Tensor k = qkv.narrow(2, layer.num_heads_q, layer.num_heads_k);
  const at::Tensor v = qkv.narrow(2, layer.num_heads_q + layer.num_heads_k, layer.num_heads_k);
  const at::Tensor pos =
      at::arange(cache.length, cache.length + tokens, x.options().dtype(at::kLong));
  rope::apply(q, k, pos, layer.rotation);

  cache.keys.narrow(1, cache.length, tokens).copy_(k);
  cache.values.narrow(1, cache.length, tokens).copy_(v);
  cache.length += tokens;
  const at::Tensor keys = cache.keys.narrow(1, 0, cache.length);
  const at::Tensor values = cache.values.narrow(1, 0, cache.length);

  const at::Tensor attended = at::scaled_dot_product_attention(
      q.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), /*attn_mask=*/std::nullopt,
      /*dropout_p=*/0.0, /*is_causal=*/tokens > 1, /*scale=*/std::nullopt, /*enable_gqa=*/true);
  return at::linear(attended.transpose(1, 2).reshape({batch, tokens, -1}), layer.out_weight);
}
