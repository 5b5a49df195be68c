// The order of the checks, and those of the rotated tensors and of positions.
#include "checks.h"

#include <c10/util/Exception.h>

#include "not_yet.h"

namespace rope::glue {
namespace {

bool is_rotatable(at::ScalarType dtype) {
  return dtype == at::kHalf || dtype == at::kBFloat16 || dtype == at::kFloat;
}

Dims dims_of(const Call& call) {
  const std::string_view layout = call.keywords.layout;
  const bool is_bshd = layout == "bshd";
  const bool is_thd = layout == "thd";
  TORCH_CHECK(is_bshd || is_thd || layout == "bhsd" || layout == "sbhd", call.op,
              ": layout must be \"bshd\", \"bhsd\", \"sbhd\" or \"thd\", got \"", layout, "\"");
  const int64_t rank = call.q.dim();
  if (rank == 3 && (is_bshd || is_thd)) return {-1, 0, 1};
  TORCH_CHECK(!is_thd, call.op, ": ", call.q_name, " must be (T, H, D) in layout \"thd\", got ",
              call.q.sym_sizes());
  TORCH_CHECK(rank == 4, call.op, ": ", call.q_name, " must have 4 dimensions in layout \"", layout,
              "\"", is_bshd ? ", or 3 as one sequence (T, H, D)" : "", ", got ",
              call.q.sym_sizes());
  if (is_bshd) return {0, 1, 2};
  return layout == "bhsd" ? Dims{0, 2, 1} : Dims{1, 0, 2};
}

void check_rotated(const Call& call, const char* name, const at::Tensor& tensor) {
  const at::ScalarType dtype = tensor.scalar_type();
  TORCH_CHECK(is_rotatable(dtype), call.op, ": ", name,
              " must be float16, bfloat16 or float32, got ", name_of(dtype));
  check_resolved(call.op, name, tensor);
  TORCH_CHECK(tensor.sym_strides().back() == 1 || tensor.sym_sizes().back() <= 1, call.op,
              ": the last stride of ", name, " must be 1, got ", tensor.sym_strides().back());
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
  const at::Device device = call.q.device();
  TORCH_CHECK(tensor.device() == device, call.op, ": ", name, " is on ", tensor.device(), " and ",
              call.q_name, " on ", device, "; move ", name, " to ", device, " first");
}

void check_resolved(const char* op, const char* name, const at::Tensor& tensor) {
  TORCH_CHECK(!tensor.is_neg() && !tensor.is_conj(), op, ": ", name,
              " must not be a negative or conjugate view; pass ", name,
              tensor.is_neg() ? ".resolve_neg()" : ".resolve_conj()");
}

Dims check_heads(const Call& call) {
  TORCH_CHECK(call.q.defined(), call.op, ": ", call.q_name, " is undefined");
  if (call.k != nullptr) {
    const at::ScalarType dtype = call.k->scalar_type();
    TORCH_CHECK(!at::isIntegralType(dtype, /*includeBool=*/false), call.op,
                ": k must be float16, bfloat16 or float32, got ", name_of(dtype),
                "; was it meant as pos=?");
  }
  const Dims dims = dims_of(call);
  check_rotated(call, call.q_name, call.q);
  if (call.k == nullptr) return dims;
  check_place(call, "k", *call.k);
  check_matches(call, *call.k, dims);
  check_rotated(call, "k", *call.k);
  return dims;
}

void check_positions(const Call& call, const Dims& dims) {
  if (call.pos == nullptr) return;
  const at::Tensor& pos = *call.pos;
  const at::ScalarType dtype = pos.scalar_type();
  const bool is_fraction = dtype == at::kBool || !at::isIntegralType(dtype, /*includeBool=*/true);
  TORCH_CHECK(dtype == at::kInt || dtype == at::kLong, call.op,
              ": pos must be int32 or int64, got ", name_of(dtype),
              is_fraction ? "; count in a finer unit (torch_rope.fixed_point) or give cos and sin "
                            "per token"
                          : "");
  check_place(call, "pos", pos);
  const c10::SymInt& tokens = call.q.sym_sizes()[dims.token];
  if (dims.batch < 0) {
    TORCH_SYM_CHECK(pos.dim() == 1 ? pos.sym_sizes()[0].sym_eq(tokens) : c10::SymBool(false),
                    call.op, ": pos must be (", tokens, ",) for one sequence, got ",
                    pos.sym_sizes());
    return;
  }
  const c10::SymInt& batches = call.q.sym_sizes()[dims.batch];
  c10::SymBool fits(pos.dim() == 1 || pos.dim() == 2);
  if (pos.dim() == 2)
    fits = pos.sym_sizes()[0].sym_eq(1).sym_or(pos.sym_sizes()[0].sym_eq(batches));
  if (pos.dim() >= 1) fits = fits.sym_and(pos.sym_sizes().back().sym_eq(tokens));
  TORCH_SYM_CHECK(fits, call.op, ": pos must be (", tokens, ",), (1, ", tokens, ") or (", batches,
                  ", ", tokens, "), got ", pos.sym_sizes());
}

Geometry check(const Call& call) {
  refuse_not_yet(call);
  check_numbers(call);
  const Dims dims = check_heads(call);
  c10::SymInt rotary_dim = check_angles(call);
  check_positions(call, dims);
  if (call.in_place) check_overlap(call);
  return {dims, std::move(rotary_dim)};
}

}  // namespace rope::glue
