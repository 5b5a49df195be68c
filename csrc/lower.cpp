// Tensors become pointers and strides; nothing is checked here.
#include "lower.h"

#include <c10/util/Exception.h>

namespace rope::glue {
namespace {

Dtype dtype_of(at::ScalarType dtype) {
  if (dtype == at::kHalf) return Dtype::kFloat16;
  return dtype == at::kBFloat16 ? Dtype::kBFloat16 : Dtype::kFloat32;
}

Integer integer_of(at::ScalarType dtype) {
  return dtype == at::kInt ? Integer::kInt32 : Integer::kInt64;
}

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

Axis axis_of(const Call& call) {
  Axis axis;
  if (call.pos == nullptr) return axis;
  const at::Tensor& pos = *call.pos;
  axis.positions = pos.const_data_ptr();
  axis.type = integer_of(pos.scalar_type());
  axis.stride_token = pos.strides().back();
  if (pos.dim() == 2 && pos.sizes()[0] > 1) axis.stride_batch = pos.strides()[0];
  return axis;
}

Table table_of(const at::Tensor& cos_sin, int64_t rotary_dim) {
  // A table without rows has no address, but nullptr would say that there is no table.
  static constexpr double kNoRow = 0;
  Table table;
  table.dtype = dtype_of(cos_sin.scalar_type());
  table.num_rows = cos_sin.sizes()[0];
  table.stride.token = cos_sin.strides()[0];
  table.cos = table.sin = &kNoRow;
  if (table.num_rows == 0) return table;
  const auto* data = static_cast<const char*>(cos_sin.const_data_ptr());
  table.cos = data;
  table.sin = data + rotary_dim / 2 * static_cast<int64_t>(cos_sin.itemsize());
  return table;
}

void lower_inv_freq(const char* op, const at::Tensor& inv_freq, Lowered& lowered) {
  Frequencies& frequencies = lowered.params.frequencies;
  const bool are_turns = inv_freq.scalar_type() == at::kLong;
  lowered.inv_freq = inv_freq.contiguous();
  frequencies.stride_axis = inv_freq.sizes().back();
  frequencies.on_host = inv_freq.is_cpu();
  if (frequencies.on_host) {
    frequencies.turns = turns_of_host(op, lowered.inv_freq, lowered.words);
    return;
  }
  // Only the device knows whether they are finite.
  frequencies.may_be_invalid = !are_turns;
  if (are_turns) {
    frequencies.turns =
        reinterpret_cast<const uint64_t*>(lowered.inv_freq.const_data_ptr<int64_t>());
  }
}

void lower_angles(const Call& call, int64_t rotary_dim, Lowered& lowered) {
  const Keywords& keywords = call.keywords;
  const at::Tensor* cos_sin = given(keywords.cos_sin);
  const at::Tensor* inv_freq = given(keywords.inv_freq);
  Params& params = lowered.params;
  params.frequencies.attention_factor = static_cast<float>(keywords.attention_factor);
  if (cos_sin != nullptr) params.table = table_of(*cos_sin, rotary_dim);
  if (inv_freq != nullptr) {
    lower_inv_freq(call.op, *inv_freq, lowered);
  } else if (cos_sin == nullptr) {
    params.frequencies.turns = turns_of_base(call.op, keywords.base, rotary_dim / 2);
  }
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
  params.axes[0] = axis_of(call);
  lower_angles(call, rotary_dim, lowered);
}

void copy_unrotated(const Call& call, const Geometry& geometry, const Outputs& outputs) {
  if (call.in_place) return;
  const int64_t rotary_dim = geometry.rotary_dim.expect_int();
  copy_outside(call, rotary_dim, call.q, outputs.q);
  if (call.k != nullptr) copy_outside(call, rotary_dim, *call.k, *outputs.k);
}

void require_success(const char* op, Status status) {
  if (C10_LIKELY(status == Status::kSuccess)) return;
  const int32_t cuda_error =
      static_cast<int32_t>(status) - static_cast<int32_t>(Status::kCudaError);
  TORCH_CHECK(cuda_error < 0, op, ": ", status_text(status), ", cudaError ", cuda_error);
  TORCH_CHECK(false, op, ": ", status_text(status));
}

}  // namespace rope::glue
