// Check first, then allocate, then run: no op writes before its arguments have passed.
#include "ops.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

namespace rope::glue {
namespace {

at::Tensor empty_output(const at::Tensor& x) {
  // For a fake x a meta tensor, whatever device it says to be on.
  const at::TensorOptions options = x.options().device(x.storage().device());
  at::Tensor out = at::empty_like(x, options);
  // Where x's windows overlap, empty_like may order the dimensions so that components lie apart.
  if (out.sym_strides().back() != 1) out = at::empty_symint(x.sym_sizes(), options);
  return out;
}

}  // namespace

void apply(Run run, const Call& call) {
  run(call, check(call), {call.q, call.k});
}

at::Tensor rotate(Run run, const Call& call) {
  const Geometry geometry = check(call);
  at::Tensor out = empty_output(call.q);
  run(call, geometry, {out, nullptr});
  return out;
}

std::tuple<at::Tensor, at::Tensor> rotate_qk(Run run, const Call& call) {
  const Geometry geometry = check(call);
  at::Tensor q = empty_output(call.q);
  at::Tensor k = empty_output(*call.k);
  run(call, geometry, {q, &k});
  return {std::move(q), std::move(k)};
}

void apply_qkv(Run run, const Call& call, int64_t num_heads_q, int64_t num_heads_k) {
  const at::Tensor& qkv = call.q;
  const Dims dims = dims_of(call);
  check_packed(call, dims, num_heads_q, num_heads_k);
  const at::Tensor q = qkv.narrow_symint(dims.head, 0, num_heads_q);
  const at::Tensor k = qkv.narrow_symint(dims.head, num_heads_q, num_heads_k);
  apply(run, {call.op, true, q, &k, call.pos, call.keywords, call.names, &qkv});
}

}  // namespace rope::glue
