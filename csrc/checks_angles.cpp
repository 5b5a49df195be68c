// The checks of what makes the angles beside tables: numbers, frequencies, and how many components
// turn, and which.
#include <c10/util/Exception.h>

#include <cmath>
#include <limits>

#include <rope/params.h>

#include "checks.h"

namespace rope::glue {
namespace {

// Four axes serve text, height, width and time; two such sets make a re-rotation (kMaxAxes).
constexpr int64_t kMaxFrequencyAxes = kMaxAxes / 2;

void check_attention_factor(const char* op, const char* name, double attention_factor) {
  // Beyond the largest float32 the conversion itself would be undefined.
  const bool is_small = attention_factor <= std::numeric_limits<float>::max();
  TORCH_CHECK(is_small && static_cast<float>(attention_factor) > 0, op, ": ", name,
              " must be finite and > 0 in float32, got ", attention_factor);
}

// What every op asks of an inv_freq.
void check_frequency_type(const char* op, const char* name, const at::Tensor& inv_freq) {
  const at::ScalarType dtype = inv_freq.scalar_type();
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kDouble || dtype == at::kLong, op, ": ", name,
              " must be float32, float64 or int64 (turns), got ", name_of(dtype));
  check_resolved(op, name, inv_freq);
}

void check_frequency_heads(const Call& call, const Dims& dims, const char* name,
                           const at::Tensor& inv_freq) {
  const c10::SymInt& heads = inv_freq.sym_sizes()[1];
  const auto agree = [&](const char* rotated_name, const at::Tensor& rotated) {
    if (is_empty_part(call, dims, rotated)) return;
    TORCH_SYM_CHECK(rotated.sym_sizes()[dims.head].sym_eq(heads), call.op, ": ", name,
                    " must have as many heads as ", rotated_name, ", ",
                    rotated.sym_sizes()[dims.head], ", got ", inv_freq.sym_sizes());
  };
  agree(name_of_heads(call), call.q);
  if (call.k != nullptr) agree("k", *call.k);
}

void check_frequencies(const Call& call, const Dims& dims, const char* name,
                       const at::Tensor& inv_freq) {
  check_frequency_type(call.op, name, inv_freq);
  const int64_t rank = inv_freq.dim();
  TORCH_CHECK(rank >= 1 && rank <= 3, call.op, ": ", name,
              " must be (n,), (A, n) or (A, H, n) with n = rotary_dim / 2, got ",
              inv_freq.sym_sizes());
  const int64_t axes = num_axes_of(&inv_freq);
  TORCH_CHECK(axes >= 1 && axes <= kMaxFrequencyAxes, call.op, ": ", name, " must have 1 to ",
              kMaxFrequencyAxes, " position axes, got ", inv_freq.sym_sizes());
  if (rank == 3) check_frequency_heads(call, dims, name, inv_freq);
  // The host reads these words, so they may stay there.
  if (!inv_freq.is_cpu()) check_place(call, name, inv_freq);
}

void check_offset(const Call& call, const char* name, const at::Tensor& tensor) {
  const int64_t offset = call.keywords.rotary_offset;
  const c10::SymInt& head_dim = tensor.sym_sizes().back();
  TORCH_CHECK(offset >= 0 ? head_dim >= offset : head_dim + offset >= 0, call.op,
              ": rotary_offset must lie within ", name, "'s head_dim of ", head_dim, ", got ",
              offset);
}

// What the head has from the place on where the rotated components start.
c10::SymInt room_of(const Call& call, const at::Tensor& tensor) {
  const int64_t offset = call.keywords.rotary_offset;
  return offset < 0 ? c10::SymInt(-offset) : tensor.sym_sizes().back() - offset;
}

// The number of rotated components: as asked for, or as wide as what makes the angles.
c10::SymInt rotary_dim_of(const Call& call) {
  const Keywords& keywords = call.keywords;
  if (keywords.rotary_dim != 0) return keywords.rotary_dim;
  if (const at::Tensor* cos_sin = given(keywords.cos_sin)) return cos_sin->sym_sizes().back();
  if (const at::Tensor* cos = given(keywords.cos)) return cos->sym_sizes().back() * 2;
  if (const at::Tensor* inv_freq = given(keywords.inv_freq))
    return inv_freq->sym_sizes().back() * 2;
  if (call.origins != nullptr && call.origins->inv_freq != nullptr) {
    return call.origins->inv_freq->sym_sizes().back() * 2;
  }
  const c10::SymInt room = room_of(call, call.q);
  if (call.k != nullptr) {
    TORCH_SYM_CHECK(room_of(call, *call.k).sym_eq(room), call.op,
                    ": rotary_dim must be given where q and k differ in head_dim, got ",
                    call.q.sym_sizes().back(), " and ", call.k->sym_sizes().back());
  }
  return room;
}

void check_fits(const Call& call, const char* name, const at::Tensor& tensor,
                const c10::SymInt& rotary_dim) {
  const c10::SymInt& head_dim = tensor.sym_sizes().back();
  TORCH_CHECK(rotary_dim <= head_dim, call.op, ": rotary_dim must be at most ", name,
              "'s head_dim of ", head_dim, ", got ", rotary_dim);
  if (call.keywords.rotary_offset == 0) return;
  TORCH_CHECK(rotary_dim <= room_of(call, tensor), call.op, ": rotary_dim must be at most ",
              room_of(call, tensor), ", the part of ", name, "'s head_dim of ", head_dim,
              " from rotary_offset ", call.keywords.rotary_offset, " on, got ", rotary_dim);
}

void check_rotary_dim(const Call& call, const c10::SymInt& rotary_dim) {
  TORCH_CHECK(rotary_dim % 2 == 0, call.op, ": rotary_dim must be even, got ", rotary_dim);
  TORCH_CHECK(rotary_dim >= 2, call.op, ": rotary_dim must be at least 2, got ", rotary_dim);
  TORCH_CHECK(rotary_dim <= kMaxRotaryDim, call.op, ": rotary_dim must be at most ", kMaxRotaryDim,
              ", got ", rotary_dim);
  check_fits(call, call.names.q, call.q, rotary_dim);
  if (call.k != nullptr) check_fits(call, "k", *call.k, rotary_dim);
}

// Both sides of a re-rotation become one array, and moving one to the other would have to wait.
void check_one_place(const Call& call, const at::Tensor* old, const at::Tensor* inv_freq) {
  // Fake tensors, whichever device they stand for, are all on meta here: the call itself will tell.
  if (call.q.is_meta()) return;
  const auto is_on_host = [](const at::Tensor* side) { return side == nullptr || side->is_cpu(); };
  TORCH_CHECK(is_on_host(old) == is_on_host(inv_freq), call.op,
              ": old_inv_freq and new_inv_freq must both be on ", call.q.device(),
              " or both on the CPU, where base is too, got one of them there");
}

void check_frequency_count(const Call& call, const char* name, const at::Tensor* inv_freq,
                           const c10::SymInt& rotary_dim) {
  if (inv_freq == nullptr) return;
  TORCH_SYM_CHECK((inv_freq->sym_sizes().back() * 2).sym_eq(rotary_dim), call.op, ": ", name,
                  " must have rotary_dim / 2 = ", rotary_dim / 2, " values, got ",
                  inv_freq->sym_sizes());
}

}  // namespace

int64_t num_axes_of(const at::Tensor* inv_freq) {
  if (inv_freq == nullptr || inv_freq->dim() < 2) return 1;
  return inv_freq->sym_sizes()[0].guard_int(__FILE__, __LINE__);
}

void check_numbers(const Call& call) {
  const double base = call.keywords.base;
  TORCH_CHECK(std::isfinite(base) && base > 0, call.op, ": base must be finite and > 0, got ",
              base);
  check_attention_factor(call.op, call.names.attention_factor, call.keywords.attention_factor);
}

void check_table_arguments(const at::Tensor& inv_freq, int64_t rows, double attention_factor) {
  constexpr auto kOp = "rope::cos_sin_table";
  check_frequency_type(kOp, "inv_freq", inv_freq);
  const int64_t rank = inv_freq.dim();
  TORCH_CHECK(rank == 1 || (rank == 2 && inv_freq.sym_sizes()[0] == 1), kOp,
              ": inv_freq must be (n,) or (1, n), got ", inv_freq.sym_sizes());
  const c10::SymInt& num_pairs = inv_freq.sym_sizes().back();
  TORCH_CHECK(num_pairs >= 1 && num_pairs <= kMaxRotaryDim / 2, kOp, ": inv_freq must have 1 to ",
              kMaxRotaryDim / 2, " values, got ", num_pairs);
  TORCH_CHECK(rows >= 0, kOp, ": rows must be at least 0, got ", rows);
  check_attention_factor(kOp, "attention_factor", attention_factor);
}

void check_turns_arguments(const at::Tensor& inv_freq) {
  const at::ScalarType dtype = inv_freq.scalar_type();
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kDouble,
              "rope::turns: inv_freq must be float32 or float64, got ", name_of(dtype));
}

c10::SymInt check_angles(const Call& call, const Dims& dims) {
  const at::Tensor* inv_freq = given(call.keywords.inv_freq);
  const at::Tensor* old = call.origins == nullptr ? nullptr : call.origins->inv_freq;
  check_tables(call, dims);
  if (old != nullptr) check_frequencies(call, dims, "old_inv_freq", *old);
  if (inv_freq != nullptr) check_frequencies(call, dims, call.names.inv_freq, *inv_freq);
  if (call.origins != nullptr) check_one_place(call, old, inv_freq);
  if (call.keywords.rotary_offset != 0) {
    check_offset(call, call.names.q, call.q);
    if (call.k != nullptr) check_offset(call, "k", *call.k);
  }
  c10::SymInt rotary_dim = rotary_dim_of(call);
  check_rotary_dim(call, rotary_dim);
  check_table_width(call, rotary_dim);
  check_frequency_count(call, "old_inv_freq", old, rotary_dim);
  check_frequency_count(call, call.names.inv_freq, inv_freq, rotary_dim);
  return rotary_dim;
}

}  // namespace rope::glue
