// Tables, frequencies and base become addresses of cosines and sines, and turns.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>

#include <rope/rope.h>

#include "lower.h"

namespace rope::glue {
namespace {

// A table without rows has no address, but nullptr would say that there is no table.
const void* address_of(const at::Tensor& table) {
  static constexpr double kNoRow = 0;
  return table.numel() == 0 ? &kNoRow : table.const_data_ptr();
}

// The extents of a table, or of its cosines: (rows, …), (B, S, …) or (B, S, H, …).
Table table_of(const at::Tensor& rows) {
  Table table;
  table.dtype = dtype_of(rows.scalar_type());
  table.per_token = rows.dim() > 2;
  table.num_rows = rows.sizes()[0];
  const int64_t token_dim = table.per_token ? 1 : 0;
  table.stride.token = rows.strides()[token_dim];
  if (table.per_token && rows.sizes()[0] > 1) table.stride.batch = rows.strides()[0];
  if (rows.dim() == 4 && rows.sizes()[2] > 1) table.stride.head = rows.strides()[2];
  return table;
}

Table table_of_both(const at::Tensor& cos_sin, int64_t rotary_dim) {
  Table table = table_of(cos_sin);
  table.cos = table.sin = address_of(cos_sin);
  if (cos_sin.numel() == 0) return table;
  const int64_t half_bytes = rotary_dim / 2 * static_cast<int64_t>(cos_sin.itemsize());
  table.sin = static_cast<const char*>(table.cos) + half_bytes;
  return table;
}

// The kernels read both with the same strides, which two views of one table have.
Table table_of_each(const at::Tensor& cos, const at::Tensor& sin, Lowered& lowered) {
  if (cos.strides() != sin.strides()) {
    lowered.cos = at::empty(cos.sizes(), cos.options()).copy_(cos);
    lowered.sin = at::empty(sin.sizes(), sin.options()).copy_(sin);
    return table_of_each(lowered.cos, lowered.sin, lowered);
  }
  Table table = table_of(cos);
  table.cos = address_of(cos);
  table.sin = address_of(sin);
  table.stride_pair = cos.strides().back();
  return table;
}

// Only the device knows whether floating-point frequencies there are finite.
bool may_be_invalid(const at::Tensor* inv_freq) {
  return inv_freq != nullptr && !inv_freq->is_cpu() && inv_freq->scalar_type() != at::kLong;
}

void lower_inv_freq(const char* op, const at::Tensor& inv_freq, Lowered& lowered) {
  Frequencies& frequencies = lowered.params.frequencies;
  lowered.inv_freq = inv_freq.contiguous();
  const int64_t num_pairs = inv_freq.sizes().back();
  const bool is_per_head = inv_freq.dim() == 3;
  frequencies.stride_head = is_per_head ? num_pairs : 0;
  frequencies.stride_axis = is_per_head ? inv_freq.sizes()[1] * num_pairs : num_pairs;
  frequencies.on_host = inv_freq.is_cpu();
  if (frequencies.on_host) {
    frequencies.turns = turns_of_host(op, lowered.inv_freq, lowered.words);
    return;
  }
  frequencies.may_be_invalid = may_be_invalid(&inv_freq);
  if (inv_freq.scalar_type() == at::kLong) {
    frequencies.turns =
        reinterpret_cast<const uint64_t*>(lowered.inv_freq.const_data_ptr<int64_t>());
  }
}

at::Tensor turns_of(const Call& call, const char* name, const at::Tensor* inv_freq,
                    int64_t num_pairs) {
  if (inv_freq == nullptr) {
    at::Tensor turns = at::empty({num_pairs}, at::kLong);
    std::memcpy(turns.mutable_data_ptr<int64_t>(),
                turns_of_base(call.op, call.keywords.base, num_pairs),
                static_cast<size_t>(num_pairs) * sizeof(uint64_t));
    return turns;
  }
  if (inv_freq->scalar_type() == at::kLong) return *inv_freq;
  if (!inv_freq->is_cpu()) return rope::turns(*inv_freq);
  at::Tensor turns = at::empty(inv_freq->sizes(), at::kLong);
  make_turns(call.op, name, inv_freq->contiguous(),
             reinterpret_cast<uint64_t*>(turns.mutable_data_ptr<int64_t>()));
  return turns;
}

// (A, H, n), H 1 where all heads share them.
at::Tensor with_all_dims(const at::Tensor& turns) {
  if (turns.dim() == 1) return turns.unsqueeze(0).unsqueeze(0);
  return turns.dim() == 2 ? turns.unsqueeze(1) : turns;
}

// To the new positions forwards and from the old ones backwards: their phases add up.
at::Tensor turns_of_difference(const Call& call, int64_t num_pairs) {
  at::Tensor old = with_all_dims(turns_of(call, "old_inv_freq", call.origins->inv_freq, num_pairs));
  at::Tensor now =
      with_all_dims(turns_of(call, call.names.inv_freq, given(call.keywords.inv_freq), num_pairs));
  const int64_t heads = std::max(old.sizes()[1], now.sizes()[1]);
  const auto for_all_heads = [&](const at::Tensor& turns) {
    return turns.expand({turns.sizes()[0], heads, num_pairs});
  };
  at::Tensor both = at::cat({for_all_heads(now), for_all_heads(old).neg()});
  return heads == 1 ? both.squeeze(1) : both;
}

}  // namespace

void lower_angles(const Call& call, int64_t rotary_dim, Lowered& lowered) {
  const Keywords& keywords = call.keywords;
  const at::Tensor* cos_sin = given(keywords.cos_sin);
  const at::Tensor* cos = given(keywords.cos);
  const at::Tensor* inv_freq = given(keywords.inv_freq);
  Params& params = lowered.params;
  params.frequencies.attention_factor = static_cast<float>(keywords.attention_factor);
  if (cos_sin != nullptr) params.table = table_of_both(*cos_sin, rotary_dim);
  if (cos != nullptr) params.table = table_of_each(*cos, *keywords.sin, lowered);
  if (call.origins != nullptr) {
    lower_inv_freq(call.op, turns_of_difference(call, rotary_dim / 2), lowered);
    params.frequencies.may_be_invalid =
        may_be_invalid(call.origins->inv_freq) || may_be_invalid(inv_freq);
  } else if (inv_freq != nullptr) {
    lower_inv_freq(call.op, *inv_freq, lowered);
  } else if (params.table.cos == nullptr) {
    params.frequencies.turns = turns_of_base(call.op, keywords.base, rotary_dim / 2);
  }
}

}  // namespace rope::glue
