// The checks of what makes the positions: pos, offsets, cu_seqlens.
#include <c10/util/Exception.h>

#include <string>

#include "checks.h"

namespace rope::glue {
namespace {

void check_integers(const Call& call, const char* name, const at::Tensor& tensor,
                    const char* advice = "") {
  const at::ScalarType dtype = tensor.scalar_type();
  TORCH_CHECK(dtype == at::kInt || dtype == at::kLong, call.op, ": ", name,
              " must be int32 or int64, got ", name_of(dtype), advice);
  check_place(call, name, tensor);
  check_resolved(call.op, name, tensor);
}

// Behind the axis dimension, which exists where there are several: (S,), (1, S) or (B, S), or (T,)
// for one sequence.
c10::SymBool fits(const Call& call, const Dims& dims, const at::Tensor& pos, int64_t num_axes) {
  const int64_t axis_dims = num_axes > 1 ? 1 : 0;
  const int64_t rank = pos.dim() - axis_dims;
  if (rank < 1 || rank > (dims.batch < 0 ? 1 : 2)) return false;
  const c10::SymIntArrayRef sizes = pos.sym_sizes();
  c10::SymBool good = sizes.back().sym_eq(call.q.sym_sizes()[dims.token]);
  if (axis_dims == 1) good = good.sym_and(sizes[0].sym_eq(num_axes));
  if (rank == 1) return good;
  const c10::SymInt& batches = sizes[axis_dims];
  return good.sym_and(batches.sym_eq(1).sym_or(batches.sym_eq(call.q.sym_sizes()[dims.batch])));
}

std::string expected(const Call& call, const Dims& dims, int64_t num_axes) {
  const std::string tokens = c10::str(call.q.sym_sizes()[dims.token]);
  const std::string axes = num_axes > 1 ? std::to_string(num_axes) + ", " : "";
  const std::string shortest = "(" + axes + tokens + (axes.empty() ? ",)" : ")");
  if (dims.batch < 0) return shortest + " for one sequence";
  const std::string batches = c10::str(call.q.sym_sizes()[dims.batch]);
  return shortest + ", (" + axes + "1, " + tokens + ") or (" + axes + batches + ", " + tokens + ")";
}

void check_pos(const Call& call, const Dims& dims, const char* name, const at::Tensor& pos,
               int64_t num_axes) {
  const at::ScalarType dtype = pos.scalar_type();
  const bool is_fraction = dtype == at::kBool || !at::isIntegralType(dtype, /*includeBool=*/true);
  // A re-rotation takes no tables.
  const char* advice = call.origins == nullptr
                           ? "; count in a finer unit (torch_rope.fixed_point) or give cos and sin "
                             "per token"
                           : "; count in a finer unit (torch_rope.fixed_point)";
  check_integers(call, name, pos, is_fraction ? advice : "");
  TORCH_SYM_CHECK(fits(call, dims, pos, num_axes), call.op, ": ", name, " must be ",
                  expected(call, dims, num_axes), ", got ", pos.sym_sizes());
}

// The values, where the host can look at them: 0 first, the number of tokens last, none descending.
template <class Integer>
void check_starts(const Call& call, const at::Tensor& cu_seqlens, int64_t num_tokens) {
  const Integer* values = cu_seqlens.const_data_ptr<Integer>();
  const int64_t stride = cu_seqlens.strides()[0];
  const int64_t last = cu_seqlens.sizes()[0] - 1;
  TORCH_CHECK(values[0] == 0, call.op, ": cu_seqlens must start with 0, got ", values[0]);
  TORCH_CHECK(values[last * stride] == num_tokens, call.op,
              ": cu_seqlens must end with the number of tokens, ", num_tokens, ", got ",
              values[last * stride]);
  for (int64_t i = 1; i <= last; ++i) {
    TORCH_CHECK(values[(i - 1) * stride] <= values[i * stride], call.op,
                ": cu_seqlens must not descend, got ", values[i * stride], " after ",
                values[(i - 1) * stride], " at index ", i);
  }
}

void check_cu_seqlens(const Call& call, const Dims& dims, const at::Tensor& cu_seqlens) {
  TORCH_CHECK(dims.batch < 0, call.op, ": cu_seqlens goes with layout \"thd\" alone, got \"",
              call.keywords.layout, "\" and a 4-dimensional ", call.names.q);
  check_integers(call, "cu_seqlens", cu_seqlens);
  TORCH_CHECK(cu_seqlens.dim() == 1, call.op, ": cu_seqlens must be (N + 1,), got ",
              cu_seqlens.sym_sizes());
  const c10::SymInt& count = cu_seqlens.sym_sizes()[0];
  TORCH_CHECK(count >= 2 || (count == 1 && call.q.sym_sizes()[dims.token] == 0), call.op,
              ": cu_seqlens must have N + 1 values for N sequences, got ", count);
  if (!cu_seqlens.is_cpu() || !has_memory(cu_seqlens)) return;
  const int64_t num_tokens = call.q.sizes()[dims.token];
  if (cu_seqlens.scalar_type() == at::kInt) {
    check_starts<int32_t>(call, cu_seqlens, num_tokens);
  } else {
    check_starts<int64_t>(call, cu_seqlens, num_tokens);
  }
}

void check_offsets(const Call& call, const Dims& dims, const at::Tensor& offsets,
                   const at::Tensor* cu_seqlens) {
  check_integers(call, "offsets", offsets);
  c10::SymInt sequences = 1;
  if (dims.batch >= 0) sequences = call.q.sym_sizes()[dims.batch];
  if (cu_seqlens != nullptr) sequences = cu_seqlens->sym_sizes()[0] - 1;
  TORCH_SYM_CHECK(
      offsets.dim() == 1 ? offsets.sym_sizes()[0].sym_eq(sequences) : c10::SymBool(false), call.op,
      ": offsets must be (", sequences, ",), one for each sequence, got ", offsets.sym_sizes());
}

void refuse_beside_rows(const Call& call, const char* name, const at::Tensor* tensor) {
  TORCH_CHECK(tensor == nullptr, call.op, ": ", name,
              " must not be given beside a table that has a row for each token, got ",
              tensor->sym_sizes());
}

}  // namespace

void check_positions(const Call& call, const Dims& dims) {
  const at::Tensor* offsets = given(call.keywords.offsets);
  const at::Tensor* cu_seqlens = given(call.keywords.cu_seqlens);
  if (is_per_token(call)) {
    refuse_beside_rows(call, call.names.pos, call.pos);
    refuse_beside_rows(call, "offsets", offsets);
    refuse_beside_rows(call, "cu_seqlens", cu_seqlens);
  }
  const int64_t num_axes = num_axes_of(given(call.keywords.inv_freq));
  TORCH_CHECK(call.pos != nullptr || num_axes == 1, call.op, ": ", call.names.pos,
              " must be given where inv_freq has several axes, got an inv_freq of ",
              given(call.keywords.inv_freq)->sym_sizes());
  if (call.pos != nullptr) check_pos(call, dims, call.names.pos, *call.pos, num_axes);
  if (call.origins != nullptr) {
    check_pos(call, dims, "old_pos", call.origins->pos, num_axes_of(call.origins->inv_freq));
  }
  if (cu_seqlens != nullptr) check_cu_seqlens(call, dims, *cu_seqlens);
  if (offsets != nullptr) check_offsets(call, dims, *offsets, cu_seqlens);
}

}  // namespace rope::glue
