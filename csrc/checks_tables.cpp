// The checks of tables: cos_sin, or cos and sin, with a row for each position or for each token.
#include <c10/util/Exception.h>

#include "checks.h"

namespace rope::glue {
namespace {

void check_table_type(const Call& call, const char* name, const at::Tensor& table) {
  const at::ScalarType dtype = table.scalar_type();
  const at::ScalarType rotated = call.q.scalar_type();
  TORCH_CHECK(dtype == at::kFloat || dtype == rotated, call.op, ": ", name, " must be float32",
              rotated == at::kFloat ? "" : " or of the rotated tensors' data type", ", got ",
              name_of(dtype));
  check_place(call, name, table);
  check_resolved(call.op, name, table);
}

// Rows for tokens: (B, S, …) or (1, S, …), (1, T, …) for one sequence.
void check_token_extents(const Call& call, const Dims& dims, const char* name,
                         const at::Tensor& table) {
  const c10::SymInt& tokens = call.q.sym_sizes()[dims.token];
  const c10::SymInt batches = dims.batch < 0 ? c10::SymInt(1) : call.q.sym_sizes()[dims.batch];
  const c10::SymIntArrayRef sizes = table.sym_sizes();
  TORCH_SYM_CHECK(
      sizes[1].sym_eq(tokens).sym_and(sizes[0].sym_eq(1).sym_or(sizes[0].sym_eq(batches))), call.op,
      ": ", name, " with a row for each token must start with (", batches, ", ", tokens,
      ") or (1, ", tokens, "), got ", sizes);
}

void check_cos_sin(const Call& call, const Dims& dims, const at::Tensor& cos_sin) {
  check_table_type(call, "cos_sin", cos_sin);
  const int64_t rank = cos_sin.dim();
  TORCH_CHECK(rank == 2 || rank == 3, call.op,
              ": cos_sin must be (rows, rotary_dim), or 3-dimensional with a row for each token, "
              "got ",
              cos_sin.sym_sizes());
  if (rank == 3) check_token_extents(call, dims, "cos_sin", cos_sin);
  TORCH_CHECK(cos_sin.sym_strides().back() == 1 || cos_sin.sym_sizes().back() <= 1, call.op,
              ": the last stride of cos_sin must be 1, got ", cos_sin.sym_strides().back());
}

// One row of a token for all heads, or one for each head of every rotated tensor.
void check_head_extent(const Call& call, const Dims& dims, const at::Tensor& cos) {
  const c10::SymInt& heads = cos.sym_sizes()[2];
  const auto agree = [&](const char* name, const at::Tensor& rotated) {
    if (is_empty_part(call, dims, rotated)) return;
    const c10::SymInt& own = rotated.sym_sizes()[dims.head];
    TORCH_SYM_CHECK(heads.sym_eq(1).sym_or(heads.sym_eq(own)), call.op,
                    ": cos and sin must have as many heads as ", name, ", ", own, ", or 1, got ",
                    cos.sym_sizes());
  };
  agree(name_of_heads(call), call.q);
  if (call.k != nullptr) agree("k", *call.k);
}

void check_cos_and_sin(const Call& call, const Dims& dims, const at::Tensor& cos,
                       const at::Tensor& sin) {
  check_table_type(call, "cos", cos);
  check_table_type(call, "sin", sin);
  TORCH_CHECK(cos.scalar_type() == sin.scalar_type(), call.op,
              ": cos and sin must have the same data type, got ", name_of(cos.scalar_type()),
              " and ", name_of(sin.scalar_type()));
  const int64_t rank = cos.dim();
  TORCH_CHECK(rank >= 2 && rank <= 4, call.op,
              ": cos and sin must be (rows, n), (B, S, n) or (B, S, H, n) with n = rotary_dim / 2, "
              "got ",
              cos.sym_sizes());
  c10::SymBool equal(sin.dim() == rank);
  for (int64_t d = 0; sin.dim() == rank && d < rank; ++d) {
    equal = equal.sym_and(cos.sym_sizes()[d].sym_eq(sin.sym_sizes()[d]));
  }
  TORCH_SYM_CHECK(equal, call.op, ": cos and sin must have the same extents, got ", cos.sym_sizes(),
                  " and ", sin.sym_sizes());
  if (rank >= 3) check_token_extents(call, dims, "cos", cos);
  if (rank == 4) check_head_extent(call, dims, cos);
}

}  // namespace

bool is_per_token(const Call& call) {
  const at::Tensor* cos_sin = given(call.keywords.cos_sin);
  const at::Tensor* cos = given(call.keywords.cos);
  return (cos_sin != nullptr && cos_sin->dim() > 2) || (cos != nullptr && cos->dim() > 2);
}

void check_tables(const Call& call, const Dims& dims) {
  const at::Tensor* cos_sin = given(call.keywords.cos_sin);
  const at::Tensor* cos = given(call.keywords.cos);
  const at::Tensor* sin = given(call.keywords.sin);
  const at::Tensor* inv_freq = given(call.keywords.inv_freq);
  TORCH_CHECK((cos == nullptr) == (sin == nullptr), call.op,
              ": cos and sin must be given together, got ", cos == nullptr ? "sin" : "cos",
              " alone");
  TORCH_CHECK(cos_sin == nullptr || cos == nullptr, call.op,
              ": cos_sin must not be given beside cos and sin, got all three");
  if (cos_sin == nullptr && cos == nullptr) return;
  if (cos_sin != nullptr) check_cos_sin(call, dims, *cos_sin);
  if (cos != nullptr) check_cos_and_sin(call, dims, *cos, *sin);
  TORCH_CHECK(inv_freq == nullptr || inv_freq->dim() < 2 ||
                  (inv_freq->dim() == 2 && num_axes_of(inv_freq) == 1),
              call.op, ": inv_freq beside a table must have one axis and serve all heads, got ",
              inv_freq->sym_sizes());
}

void check_table_width(const Call& call, const c10::SymInt& rotary_dim) {
  if (const at::Tensor* cos_sin = given(call.keywords.cos_sin)) {
    TORCH_SYM_CHECK(cos_sin->sym_sizes().back().sym_eq(rotary_dim), call.op,
                    ": cos_sin must have rotary_dim = ", rotary_dim, " columns, got ",
                    cos_sin->sym_sizes());
  }
  if (const at::Tensor* cos = given(call.keywords.cos)) {
    TORCH_SYM_CHECK((cos->sym_sizes().back() * 2).sym_eq(rotary_dim), call.op,
                    ": cos and sin must have rotary_dim / 2 = ", rotary_dim / 2, " columns, got ",
                    cos->sym_sizes());
  }
}

}  // namespace rope::glue
