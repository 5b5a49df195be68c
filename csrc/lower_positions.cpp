// pos, offsets and cu_seqlens become axes and arrays of integers.
#include "lower.h"

namespace rope::glue {
namespace {

Integer integer_of(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kInt ? Integer::kInt32 : Integer::kInt64;
}

// The axes of pos: its first dimension where there are several, before the batches and the tokens.
void add_axes(const at::Tensor& pos, int64_t num_axes, bool skip_negative, Params& params) {
  const int64_t batch_dim = num_axes > 1 ? 1 : 0;
  Axis axis;
  axis.type = integer_of(pos);
  axis.stride_token = pos.strides().back();
  if (pos.dim() == batch_dim + 2 && pos.sizes()[batch_dim] > 1) {
    axis.stride_batch = pos.strides()[batch_dim];
  }
  const auto* data = static_cast<const char*>(pos.const_data_ptr());
  const int64_t step = num_axes > 1 ? pos.strides()[0] * static_cast<int64_t>(pos.itemsize()) : 0;
  for (int64_t a = 0; a < num_axes; ++a) {
    axis.positions = data + a * step;
    axis.skip_negative = skip_negative && a == 0;
    params.axes[params.num_axes++] = axis;
  }
}

IntegerArray array_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr(), integer_of(tensor), tensor.strides()[0]};
}

}  // namespace

void lower_positions(const Call& call, Params& params) {
  const Keywords& keywords = call.keywords;
  params.num_axes = 0;
  if (call.pos != nullptr) {
    add_axes(*call.pos, num_axes_of(given(keywords.inv_freq)), keywords.skip_negative, params);
  } else {
    params.axes[params.num_axes++] = Axis();
  }
  if (call.origins != nullptr) {
    add_axes(call.origins->pos, num_axes_of(call.origins->inv_freq), keywords.skip_negative,
             params);
  }
  if (const at::Tensor* offsets = given(keywords.offsets)) params.offsets = array_of(*offsets);
  if (const at::Tensor* cu_seqlens = given(keywords.cu_seqlens)) {
    params.cu_seqlens = array_of(*cu_seqlens);
    params.num_sequences = cu_seqlens->sizes()[0] - 1;
  }
}

}  // namespace rope::glue
