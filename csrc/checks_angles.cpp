// The checks of what makes the angles: numbers, table, frequencies, and how many components turn.
#include <c10/util/Exception.h>

#include <cmath>
#include <limits>

#include <rope/params.h>

#include "checks.h"
#include "not_yet.h"

namespace rope::glue {
namespace {

void check_attention_factor(const char* op, double attention_factor) {
  // Beyond the largest float32 the conversion itself would be undefined.
  const bool is_small = attention_factor <= std::numeric_limits<float>::max();
  TORCH_CHECK(is_small && static_cast<float>(attention_factor) > 0, op,
              ": attention_factor must be finite and > 0 in float32, got ", attention_factor);
}

// What every op asks of an inv_freq.
void check_frequencies(const char* op, const at::Tensor& inv_freq) {
  const at::ScalarType dtype = inv_freq.scalar_type();
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kDouble || dtype == at::kLong, op,
              ": inv_freq must be float32, float64 or int64 (turns), got ", name_of(dtype));
  const int64_t rank = inv_freq.dim();
  TORCH_CHECK(rank == 1 || (rank == 2 && inv_freq.sym_sizes()[0] == 1), op,
              ": inv_freq must be (n,) or (1, n) with n = rotary_dim / 2, got ",
              inv_freq.sym_sizes());
  check_resolved(op, "inv_freq", inv_freq);
}

void check_table(const Call& call, const at::Tensor& cos_sin) {
  const at::ScalarType dtype = cos_sin.scalar_type();
  const at::ScalarType rotated = call.q.scalar_type();
  TORCH_CHECK(dtype == at::kFloat || dtype == rotated, call.op, ": cos_sin must be float32",
              rotated == at::kFloat ? "" : " or of the rotated tensors' data type", ", got ",
              name_of(dtype));
  TORCH_CHECK(cos_sin.dim() == 2, call.op, ": cos_sin must be (rows, rotary_dim), got ",
              cos_sin.sym_sizes());
  check_place(call, "cos_sin", cos_sin);
  check_resolved(call.op, "cos_sin", cos_sin);
  TORCH_CHECK(cos_sin.sym_strides()[1] == 1 || cos_sin.sym_sizes()[1] <= 1, call.op,
              ": the last stride of cos_sin must be 1, got ", cos_sin.sym_strides()[1]);
}

void check_call_frequencies(const Call& call, const at::Tensor& inv_freq) {
  refuse_not_yet_frequencies(call.op, inv_freq);
  check_frequencies(call.op, inv_freq);
  // The host reads these words, so they may stay there.
  if (!inv_freq.is_cpu()) check_place(call, "inv_freq", inv_freq);
}

// The number of rotated components: as asked for, or as wide as what makes the angles.
c10::SymInt rotary_dim_of(const Call& call, const at::Tensor* cos_sin, const at::Tensor* inv_freq) {
  if (call.keywords.rotary_dim != 0) return call.keywords.rotary_dim;
  if (cos_sin != nullptr) return cos_sin->sym_sizes()[1];
  if (inv_freq != nullptr) return inv_freq->sym_sizes().back() * 2;
  const c10::SymInt& head_dim = call.q.sym_sizes().back();
  if (call.k != nullptr) {
    TORCH_SYM_CHECK(call.k->sym_sizes().back().sym_eq(head_dim), call.op,
                    ": rotary_dim must be given where q and k differ in head_dim, got ", head_dim,
                    " and ", call.k->sym_sizes().back());
  }
  return head_dim;
}

void check_fits(const Call& call, const char* name, const at::Tensor& tensor,
                const c10::SymInt& rotary_dim) {
  const c10::SymInt& head_dim = tensor.sym_sizes().back();
  TORCH_CHECK(rotary_dim <= head_dim, call.op, ": rotary_dim must be at most ", name,
              "'s head_dim of ", head_dim, ", got ", rotary_dim);
}

void check_rotary_dim(const Call& call, const c10::SymInt& rotary_dim) {
  TORCH_CHECK(rotary_dim % 2 == 0, call.op, ": rotary_dim must be even, got ", rotary_dim);
  TORCH_CHECK(rotary_dim >= 2, call.op, ": rotary_dim must be at least 2, got ", rotary_dim);
  TORCH_CHECK(rotary_dim <= kMaxRotaryDim, call.op, ": rotary_dim must be at most ", kMaxRotaryDim,
              ", got ", rotary_dim);
  check_fits(call, call.q_name, call.q, rotary_dim);
  if (call.k != nullptr) check_fits(call, "k", *call.k, rotary_dim);
}

}  // namespace

void check_numbers(const Call& call) {
  const double base = call.keywords.base;
  TORCH_CHECK(std::isfinite(base) && base > 0, call.op, ": base must be finite and > 0, got ",
              base);
  check_attention_factor(call.op, call.keywords.attention_factor);
}

void check_table_arguments(const at::Tensor& inv_freq, int64_t rows, double attention_factor) {
  constexpr auto kOp = "rope::cos_sin_table";
  check_frequencies(kOp, inv_freq);
  const c10::SymInt& num_pairs = inv_freq.sym_sizes().back();
  TORCH_CHECK(num_pairs >= 1 && num_pairs <= kMaxRotaryDim / 2, kOp, ": inv_freq must have 1 to ",
              kMaxRotaryDim / 2, " values, got ", num_pairs);
  TORCH_CHECK(rows >= 0, kOp, ": rows must be at least 0, got ", rows);
  check_attention_factor(kOp, attention_factor);
}

void check_turns_arguments(const at::Tensor& inv_freq) {
  const at::ScalarType dtype = inv_freq.scalar_type();
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kDouble,
              "rope::turns: inv_freq must be float32 or float64, got ", name_of(dtype));
}

c10::SymInt check_angles(const Call& call) {
  const at::Tensor* cos_sin = given(call.keywords.cos_sin);
  const at::Tensor* inv_freq = given(call.keywords.inv_freq);
  if (cos_sin != nullptr) check_table(call, *cos_sin);
  if (inv_freq != nullptr) check_call_frequencies(call, *inv_freq);
  c10::SymInt rotary_dim = rotary_dim_of(call, cos_sin, inv_freq);
  check_rotary_dim(call, rotary_dim);
  if (cos_sin != nullptr) {
    TORCH_SYM_CHECK(cos_sin->sym_sizes()[1].sym_eq(rotary_dim), call.op,
                    ": cos_sin must have rotary_dim = ", rotary_dim, " columns, got ",
                    cos_sin->sym_sizes());
  }
  if (inv_freq != nullptr) {
    TORCH_SYM_CHECK((inv_freq->sym_sizes().back() * 2).sym_eq(rotary_dim), call.op,
                    ": inv_freq must have rotary_dim / 2 = ", rotary_dim / 2, " values, got ",
                    inv_freq->sym_sizes());
  }
  return rotary_dim;
}

}  // namespace rope::glue
