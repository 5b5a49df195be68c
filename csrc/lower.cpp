// Tensors become pointers and strides; nothing is checked here.
#include "lower.h"

#include <c10/util/Exception.h>

namespace rope::glue {
namespace {

int64_t first_component(const Call& call, const at::Tensor& tensor) {
  const int64_t offset = call.keywords.rotary_offset;
  return offset >= 0 ? offset : tensor.sizes().back() + offset;
}

Strides strides_of(const at::Tensor& tensor, const Dims& dims) {
  const at::IntArrayRef strides = tensor.strides();
  return {dims.batch < 0 ? 0 : strides[dims.batch], strides[dims.token], strides[dims.head]};
}

Heads heads_of(const Call& call, const Dims& dims, const at::Tensor& in, const at::Tensor& out) {
  const int64_t offset = first_component(call, in) * static_cast<int64_t>(in.itemsize());
  Heads heads;
  if (in.numel() == 0) return heads;  // it may have no address to count from
  auto* address = static_cast<char*>(out.mutable_data_ptr());
  heads.out = address + offset;
  heads.out_stride = strides_of(out, dims);
  heads.num_heads = in.sizes()[dims.head];
  if (call.in_place) {
    heads.in = heads.out;
    heads.in_stride = heads.out_stride;
  } else {
    heads.in = static_cast<const char*>(in.const_data_ptr()) + offset;
    heads.in_stride = strides_of(in, dims);
  }
  return heads;
}

void copy_components(const at::Tensor& from, const at::Tensor& to, int64_t first, int64_t last) {
  if (first < last) to.narrow(-1, first, last - first).copy_(from.narrow(-1, first, last - first));
}

void copy_outside(const Call& call, int64_t rotary_dim, const at::Tensor& from,
                  const at::Tensor& to) {
  const int64_t first = first_component(call, from);
  copy_components(from, to, 0, first);
  copy_components(from, to, first + rotary_dim, from.sizes().back());
}

}  // namespace

Dtype dtype_of(at::ScalarType dtype) {
  if (dtype == at::kHalf) return Dtype::kFloat16;
  return dtype == at::kBFloat16 ? Dtype::kBFloat16 : Dtype::kFloat32;
}

void lower(const Call& call, const Geometry& geometry, const Outputs& outputs, Lowered& lowered) {
  const Dims& dims = geometry.dims;
  const at::IntArrayRef sizes = call.q.sizes();
  Params& params = lowered.params;
  params.dtype = dtype_of(call.q.scalar_type());
  params.pairing = call.keywords.interleaved ? Pairing::kInterleaved : Pairing::kSplit;
  const int64_t rotary_dim = geometry.rotary_dim.expect_int();
  params.rotary_dim = static_cast<int32_t>(rotary_dim);
  params.inverse = call.keywords.inverse;
  params.num_batches = dims.batch < 0 ? 1 : sizes[dims.batch];
  params.num_tokens = sizes[dims.token];
  params.q = heads_of(call, dims, call.q, outputs.q);
  if (call.k != nullptr) params.k = heads_of(call, dims, *call.k, *outputs.k);
  lower_positions(call, params);
  lower_angles(call, rotary_dim, lowered);
}

void copy_unrotated(const Call& call, const Geometry& geometry, const Outputs& outputs) {
  if (call.in_place) return;
  const int64_t rotary_dim = geometry.rotary_dim.expect_int();
  copy_outside(call, rotary_dim, call.q, outputs.q);
  if (call.k != nullptr) copy_outside(call, rotary_dim, *call.k, *outputs.k);
}

void require_success(const char* op, Status status) {
  TORCH_CHECK(status == Status::kSuccess, op, ": ", status_text(status));
}

}  // namespace rope::glue
