// The differentiable ops as autograd sees them: what they record, and their tangents in forward
// mode.
#include <ATen/TensorOperators.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/library.h>

#include <initializer_list>
#include <tuple>
#include <utility>

#include <rope/rope.h>

#include "backward.h"
#include "frequency_derivatives.h"
#include "recorded.h"

namespace rope::glue {
namespace {

constexpr auto kUnwanted = " must not require grad or have a forward-mode tangent";

// Whether the call asks for a derivative with respect to this argument, in either mode.
bool is_differentiated(const Argument& argument) {
  return has_tangent(argument) || (at::GradMode::is_enabled() && requires_grad(argument));
}

// A table's values are taken as they are, and those that stand for inv_freq do not follow it.
void check_differentiated(const char* op, const Keywords& keywords) {
  const Argument inv_freq{"inv_freq", given(keywords.inv_freq)};
  for (const Argument& argument : table_arguments(keywords)) {
    TORCH_CHECK(!is_differentiated(argument), op, ": ", argument.name, kUnwanted,
                ": a table is a constant; to learn frequencies, give them as inv_freq");
    TORCH_CHECK(argument.tensor == nullptr || !is_differentiated(inv_freq), op, ": inv_freq",
                kUnwanted, " beside ", argument.name,
                ", whose rows do not follow it; to learn frequencies, give inv_freq alone");
  }
}

NodePointer record(std::initializer_list<at::Tensor> rotated, const OptionalTensor& pos,
                   const Keywords& keywords) {
  if (!at::GradMode::is_enabled()) return {};
  return make_rotate_backward(rotated, pos, keywords);
}

// x and inv_freq contribute to the tangent of a result, which is linear in x.
void set_tangent(const at::Tensor& x, const at::Tensor& result, const OptionalTensor& pos,
                 const Keywords& keywords) {
  const Argument inv_freq{"inv_freq", given(keywords.inv_freq)};
  const bool is_learned = has_tangent(inv_freq);
  if (!is_learned && !has_tangent({"", &x})) return;
  Options options = options_of(keywords);
  if (is_learned) options.inv_freq = inv_freq.tensor->_fw_primal(/*level=*/0);
  at::Tensor tangent;
  if (has_tangent({"", &x})) tangent = rotate(readable(x._fw_grad(/*level=*/0)), pos, options);
  if (is_learned) {
    const at::Tensor own = frequency_tangent(result._fw_primal(/*level=*/0),
                                             inv_freq.tensor->_fw_grad(/*level=*/0), pos, options);
    tangent = tangent.defined() ? tangent + own : own;
  }
  result._set_fw_grad(tangent, /*level=*/0, /*is_inplace_op=*/false);
}

template <class Signature>
struct RotateAutograd;

template <class... Rest>
struct RotateAutograd<at::Tensor(const at::Tensor&, const OptionalTensor&, Rest...)> {
  static at::Tensor kernel(c10::DispatchKeySet keys, const at::Tensor& x, const OptionalTensor& pos,
                           Rest... rest) {
    const Keywords keywords{rest...};
    check_differentiated("rope::rotate", keywords);
    const NodePointer node = record({x}, pos, keywords);
    at::Tensor out = below_autograd(keys, x, pos, rest...);
    if (node) set_results(node, {out});
    set_tangent(x, out, pos, keywords);
    return out;
  }

  static at::Tensor below_autograd(c10::DispatchKeySet keys, const at::Tensor& x,
                                   const OptionalTensor& pos, Rest... rest) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    return detail::rotate_op().redispatch(keys & c10::after_autograd_keyset, x, pos, rest...);
  }
};

template <class Signature>
struct RotateQkAutograd;

template <class... Rest>
struct RotateQkAutograd<std::tuple<at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&,
                                                           const OptionalTensor&, Rest...)> {
  using Result = std::tuple<at::Tensor, at::Tensor>;

  static Result kernel(c10::DispatchKeySet keys, const at::Tensor& q, const at::Tensor& k,
                       const OptionalTensor& pos, Rest... rest) {
    const Keywords keywords{rest...};
    check_differentiated("rope::rotate_qk", keywords);
    const NodePointer node = record({q, k}, pos, keywords);
    Result out = below_autograd(keys, q, k, pos, rest...);
    if (node) set_results(node, {std::get<0>(out), std::get<1>(out)});
    set_tangent(q, std::get<0>(out), pos, keywords);
    set_tangent(k, std::get<1>(out), pos, keywords);
    return out;
  }

  static Result below_autograd(c10::DispatchKeySet keys, const at::Tensor& q, const at::Tensor& k,
                               const OptionalTensor& pos, Rest... rest) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    return detail::rotate_qk_op().redispatch(keys & c10::after_autograd_keyset, q, k, pos, rest...);
  }
};

at::Tensor cos_sin_table(c10::DispatchKeySet keys, const at::Tensor& inv_freq, int64_t rows,
                         int64_t start, double attention_factor) {
  constexpr auto kOp = "rope::cos_sin_table";
  TORCH_CHECK(!is_differentiated({"inv_freq", &inv_freq}), kOp, ": inv_freq", kUnwanted,
              ": a table is a constant; to learn frequencies, give them to rope::rotate or "
              "rope::rotate_qk");
  const at::AutoDispatchBelowADInplaceOrView guard;
  static const auto op = detail::find_op<detail::CosSinTableSignature>(kOp);
  return op.redispatch(keys & c10::after_autograd_keyset, inv_freq, rows, start, attention_factor);
}

}  // namespace

TORCH_LIBRARY_IMPL(rope, Autograd, m) {
  m.impl("rotate", &RotateAutograd<detail::RotateSignature>::kernel);
  m.impl("rotate_qk", &RotateQkAutograd<detail::RotateQkSignature>::kernel);
  m.impl("cos_sin_table", &cos_sin_table);
}

}  // namespace rope::glue
