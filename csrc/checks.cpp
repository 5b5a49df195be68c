// The order of the checks, and those of the rotated tensors.
#include "checks.h"

#include <c10/util/Exception.h>

namespace rope::glue {
namespace {

bool is_rotatable(at::ScalarType dtype) {
  return dtype == at::kHalf || dtype == at::kBFloat16 || dtype == at::kFloat;
}

void check_rotated(const Call& call, const char* name, const at::Tensor& tensor) {
  const at::ScalarType dtype = tensor.scalar_type();
  TORCH_CHECK(is_rotatable(dtype), call.op, ": ", name,
              " must be float16, bfloat16 or float32, got ", name_of(dtype));
  check_resolved(call.op, name, tensor);
  // An empty gradient of a sum keeps its strides of 0, whatever is done to it.
  const bool is_readable =
      tensor.sym_strides().back() == 1 || tensor.sym_sizes().back() <= 1 || tensor.sym_numel() == 0;
  TORCH_CHECK(is_readable, call.op, ": the last stride of ", name, " must be 1, got ",
              tensor.sym_strides().back());
}

void check_matches(const Call& call, const at::Tensor& k, const Dims& dims) {
  const at::Tensor& q = call.q;
  TORCH_CHECK(k.scalar_type() == q.scalar_type(), call.op,
              ": q and k must have the same data type, got ", name_of(q.scalar_type()), " and ",
              name_of(k.scalar_type()));
  TORCH_CHECK(k.dim() == q.dim(), call.op, ": q and k must have as many dimensions, got ",
              q.sym_sizes(), " and ", k.sym_sizes());
  const auto agree = [&](int dim) {
    TORCH_SYM_CHECK(q.sym_sizes()[dim].sym_eq(k.sym_sizes()[dim]), call.op,
                    ": q and k must have the same batch and sequence extents, got ", q.sym_sizes(),
                    " and ", k.sym_sizes());
  };
  if (dims.batch >= 0) agree(dims.batch);
  agree(dims.token);
}

}  // namespace

void check_place(const Call& call, const char* name, const at::Tensor& tensor) {
  // A slice of a fake tensor does not know the tensor's device.
  const at::Device device = (call.packed == nullptr ? call.q : *call.packed).device();
  TORCH_CHECK(tensor.device() == device, call.op, ": ", name, " is on ", tensor.device(), " and ",
              call.names.q, " on ", device, "; move ", name, " to ", device, " first");
}

void check_resolved(const char* op, const char* name, const at::Tensor& tensor) {
  TORCH_CHECK(!tensor.is_neg() && !tensor.is_conj(), op, ": ", name,
              " must not be a negative or conjugate view; pass ", name,
              tensor.is_neg() ? ".resolve_neg()" : ".resolve_conj()");
}

Dims dims_of(const Call& call) {
  TORCH_CHECK(call.q.defined(), call.op, ": ", call.names.q, " is undefined");
  const std::string_view layout = call.keywords.layout;
  const bool is_bshd = layout == "bshd";
  const bool is_thd = layout == "thd";
  TORCH_CHECK(is_bshd || is_thd || layout == "bhsd" || layout == "sbhd", call.op,
              ": layout must be \"bshd\", \"bhsd\", \"sbhd\" or \"thd\", got \"", layout, "\"");
  const int64_t rank = call.q.dim();
  if (rank == 3 && (is_bshd || is_thd)) return {-1, 0, 1};
  TORCH_CHECK(!is_thd, call.op, ": ", call.names.q, " must be (T, H, D) in layout \"thd\", got ",
              call.q.sym_sizes());
  TORCH_CHECK(rank == 4, call.op, ": ", call.names.q, " must have 4 dimensions in layout \"",
              layout, "\"", is_bshd ? ", or 3 as one sequence (T, H, D)" : "", ", got ",
              call.q.sym_sizes());
  if (is_bshd) return {0, 1, 2};
  return layout == "bhsd" ? Dims{0, 2, 1} : Dims{1, 0, 2};
}

void check_heads(const Call& call, const Dims& dims) {
  check_rotated(call, call.names.q, call.q);
  if (call.k == nullptr) return;
  if (call.packed == nullptr) check_place(call, "k", *call.k);
  check_matches(call, *call.k, dims);
  check_rotated(call, "k", *call.k);
}

void check_packed(const Call& call, const Dims& dims, int64_t num_heads_q, int64_t num_heads_k) {
  TORCH_CHECK(num_heads_q >= 0, call.op, ": num_heads_q must be at least 0, got ", num_heads_q);
  TORCH_CHECK(num_heads_k >= 0, call.op, ": num_heads_k must be at least 0, got ", num_heads_k);
  const c10::SymInt& heads = call.q.sym_sizes()[dims.head];
  // Compared without their sum, which might overflow.
  TORCH_CHECK(heads >= num_heads_q && heads - num_heads_q >= num_heads_k, call.op,
              ": num_heads_q + num_heads_k must be at most the ", heads, " heads of qkv, got ",
              num_heads_q, " and ", num_heads_k);
}

const char* name_of_heads(const Call& call) {
  return call.packed == nullptr ? call.names.q : "q";
}

bool is_empty_part(const Call& call, const Dims& dims, const at::Tensor& part) {
  return call.packed != nullptr && part.sym_sizes()[dims.head] == 0;
}

Geometry check(const Call& call) {
  check_numbers(call);
  // A packed tensor's k is no argument of its own.
  if (call.k != nullptr && call.packed == nullptr) {
    const at::ScalarType dtype = call.k->scalar_type();
    TORCH_CHECK(!at::isIntegralType(dtype, /*includeBool=*/false), call.op,
                ": k must be float16, bfloat16 or float32, got ", name_of(dtype),
                "; was it meant as pos=?");
  }
  const Dims dims = dims_of(call);
  check_heads(call, dims);
  c10::SymInt rotary_dim = check_angles(call, dims);
  check_positions(call, dims);
  if (call.in_place) check_overlap(call);
  return {dims, std::move(rotary_dim)};
}

}  // namespace rope::glue
