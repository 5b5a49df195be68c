// The ops that write their arguments, as autograd sees them: what it would have to record is
// refused, and version counters rise.
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/library.h>

#include <rope/rope.h>

#include "checks.h"
#include "recorded.h"

namespace rope::glue {
namespace {

// What to do where autograd would record a call, and where it would carry a tangent through it.
struct Advice {
  const char* grad;
  const char* tangent;
};

constexpr Advice kUseRotateQk = {"rope::rotate_qk returns differentiable copies",
                                 "rope::rotate_qk returns differentiable copies"};
// rope::rotate_qk refuses tables too, and frequencies beside one.
constexpr Advice kTableIsConstant = {
    "a table is a constant: detach it; to learn frequencies, give them to rope::rotate_qk as "
    "inv_freq",
    "a table is a constant; to learn frequencies, give them to rope::rotate_qk as inv_freq"};
constexpr Advice kWithoutTable = {
    "to learn frequencies, give inv_freq to rope::rotate_qk without a table",
    "to learn frequencies, give inv_freq to rope::rotate_qk without a table"};
constexpr Advice kNotDifferentiable = {"call it under torch.no_grad()",
                                       "rope::rerotate is not differentiable"};

void refuse_recorded(const char* op, const Argument& argument, const Advice& advice) {
  TORCH_CHECK(!has_tangent(argument), op, ": ", argument.name,
              " must not have a forward-mode tangent; ", advice.tangent);
  TORCH_CHECK(!at::GradMode::is_enabled() || !requires_grad(argument), op, ": ", argument.name,
              " must not require grad while grad mode is on; ", advice.grad);
}

void refuse_recorded_angles(const char* op, const Keywords& keywords) {
  bool has_table = false;
  for (const Argument& table : table_arguments(keywords)) {
    refuse_recorded(op, table, kTableIsConstant);
    has_table |= table.tensor != nullptr;
  }
  refuse_recorded(op, {"inv_freq", given(keywords.inv_freq)},
                  has_table ? kWithoutTable : kUseRotateQk);
}

void bump_version(const at::Tensor& tensor) {
  if (!tensor.is_inference()) torch::autograd::impl::bump_version(tensor);
}

// What is particular to an op: its handle, what it refuses, what it writes.
struct Apply {
  static constexpr auto kOp = &detail::apply_op;

  template <class... Rest>
  static void check(const at::Tensor& q, const OptionalTensor& k, const OptionalTensor&,
                    Rest... rest) {
    check_not_recorded(q, k, Keywords{rest...});
  }

  template <class... Rest>
  static void bump_versions(const at::Tensor& q, const OptionalTensor& k, const Rest&...) {
    bump_version(q);
    if (given(k) != nullptr) bump_version(*k);
  }
};

struct ApplyQkv {
  static constexpr auto kOp = &detail::apply_qkv_op;

  template <class... Rest>
  static void check(const at::Tensor& qkv, const OptionalTensor&, int64_t, int64_t, Rest... rest) {
    constexpr auto kName = "rope::apply_qkv";
    refuse_recorded(kName, {"qkv", &qkv}, kUseRotateQk);
    refuse_recorded_angles(kName, Keywords{rest...});
  }

  template <class... Rest>
  static void bump_versions(const at::Tensor& qkv, const Rest&...) {
    bump_version(qkv);
  }
};

struct Rerotate {
  static constexpr auto kOp = &detail::rerotate_op;

  template <class... Rest>
  static void check(const at::Tensor& k, const at::Tensor&, const at::Tensor&,
                    const OptionalTensor& old_inv_freq, const OptionalTensor& new_inv_freq,
                    const Rest&...) {
    for (const Argument& argument :
         {Argument{"k", &k}, Argument{"old_inv_freq", given(old_inv_freq)},
          Argument{"new_inv_freq", given(new_inv_freq)}}) {
      refuse_recorded("rope::rerotate", argument, kNotDifferentiable);
    }
  }

  template <class... Rest>
  static void bump_versions(const at::Tensor& k, const Rest&...) {
    bump_version(k);
  }
};

template <class Op, class Signature>
struct Mutation;

template <class Op, class... Arguments>
struct Mutation<Op, void(Arguments...)> {
  static void under_autograd(c10::DispatchKeySet keys, Arguments... arguments) {
    Op::check(arguments...);
    below_autograd(keys, arguments...);
  }

  // Reached alone in inference mode, where autograd is left out.
  static void below_autograd(c10::DispatchKeySet keys, Arguments... arguments) {
    {
      const at::AutoDispatchBelowADInplaceOrView guard;
      Op::kOp().redispatch(keys & c10::after_ADInplaceOrView_keyset, arguments...);
    }
    Op::bump_versions(arguments...);
  }
};

using ApplyMutation = Mutation<Apply, detail::ApplySignature>;
using ApplyQkvMutation = Mutation<ApplyQkv, detail::ApplyQkvSignature>;
using RerotateMutation = Mutation<Rerotate, detail::RerotateSignature>;

}  // namespace

void check_not_recorded(const at::Tensor& q, const OptionalTensor& k, const Keywords& keywords) {
  constexpr auto kName = "rope::apply";
  refuse_recorded(kName, {"q", &q}, kUseRotateQk);
  refuse_recorded(kName, {"k", given(k)}, kUseRotateQk);
  refuse_recorded_angles(kName, keywords);
}

TORCH_LIBRARY_IMPL(rope, Autograd, m) {
  m.impl("apply", &ApplyMutation::under_autograd);
  m.impl("apply_qkv", &ApplyQkvMutation::under_autograd);
  m.impl("rerotate", &RerotateMutation::under_autograd);
}

TORCH_LIBRARY_IMPL(rope, ADInplaceOrView, m) {
  m.impl("apply", &ApplyMutation::below_autograd);
  m.impl("apply_qkv", &ApplyQkvMutation::below_autograd);
  m.impl("rerotate", &RerotateMutation::below_autograd);
}

}  // namespace rope::glue
