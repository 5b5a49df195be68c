// q and k: their layouts, their values, and outputs full of NaN.
#include "call_parts.h"
#include "formats.h"

namespace rope::test {
namespace {

// Room for what is not rotated: `first` elements in front, some behind; multiples of 8 in all.
int64_t head_dim(const Case& spec) {
  return spec.rotary_dim + spec.first + 16 - spec.first % 8;
}

Strides strides_of(const Case& spec, int64_t num_heads, Layout layout) {
  const int64_t dim = head_dim(spec);
  switch (layout) {
    case Layout::kPacked: {  // q, k and values of as many heads as k
      const int64_t token = (spec.q_heads + 2 * spec.k_heads) * dim;
      return {spec.tokens * token, token, dim};
    }
    case Layout::kTransposed:
      return {num_heads * spec.tokens * dim, dim, spec.tokens * dim};
    default:
      return {spec.tokens * num_heads * dim, num_heads * dim, dim};
  }
}

// A block that ends with the last rotated component; returns the first one.
uint8_t* add_tensor(Parts& parts, const char* name, int64_t num_heads, const Strides& stride) {
  const Case& spec = parts.spec;
  const int64_t last = (spec.batches - 1) * stride.batch + (spec.tokens - 1) * stride.token +
                       (num_heads - 1) * stride.head + spec.rotary_dim;
  const int64_t size = size_in_bytes(spec.dtype);
  return parts.add_block(name, (spec.first + last) * size, true) + spec.first * size;
}

// Ordinary numbers, or any bits.
void fill_values(const Parts& parts, const Heads& heads, Purpose purpose) {
  const Format format = format_of(parts.spec.dtype);
  const int64_t size = size_in_bytes(parts.spec.dtype);
  auto* const in = static_cast<uint8_t*>(const_cast<void*>(heads.in));
  Stream stream = parts.stream(purpose);
  for_each_element(parts.call.params, heads.num_heads, heads.in_stride, [&](int64_t index) {
    const uint64_t random = stream();
    const uint32_t bits =
        parts.spec.any_bits ? static_cast<uint32_t>(random) : ordinary_number(format, random);
    std::memcpy(in + index * size, &bits, static_cast<size_t>(size));
  });
}

void add_inputs(Parts& parts) {
  const Case& spec = parts.spec;
  Params& params = parts.call.params;
  params.q.in_stride = strides_of(spec, spec.q_heads, spec.layout);
  params.k.in_stride = strides_of(spec, spec.k_heads, spec.layout);
  if (spec.layout == Layout::kPacked && spec.q_heads > 0 && spec.k_heads > 0) {
    uint8_t* const q = add_tensor(parts, "qkv", spec.q_heads + spec.k_heads, params.q.in_stride);
    params.q.in = q;
    params.k.in = q + spec.q_heads * head_dim(spec) * size_in_bytes(spec.dtype);
  } else {
    if (spec.q_heads > 0) params.q.in = add_tensor(parts, "q", spec.q_heads, params.q.in_stride);
    if (spec.k_heads > 0) params.k.in = add_tensor(parts, "k", spec.k_heads, params.k.in_stride);
  }
  fill_values(parts, params.q, Purpose::kQ);
  fill_values(parts, params.k, Purpose::kK);
}

void add_output(Parts& parts, const char* name, Heads& heads) {
  if (heads.num_heads == 0) return;
  if (parts.spec.in_place) {
    heads.out = const_cast<void*>(heads.in);
    heads.out_stride = heads.in_stride;
    return;
  }
  heads.out_stride = strides_of(parts.spec, heads.num_heads, Layout::kContiguous);
  heads.out = add_tensor(parts, name, heads.num_heads, heads.out_stride);
  const Block& block = parts.call.blocks.back();
  std::memset(block.data(), 0xff, block.size());  // NaN in every type
}

}  // namespace

void add_tensors(Parts& parts) {
  add_inputs(parts);
  add_output(parts, "q_out", parts.call.params.q);
  add_output(parts, "k_out", parts.call.params.k);
}

}  // namespace rope::test
