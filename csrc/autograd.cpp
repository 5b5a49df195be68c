// Gradients. Only the backward pass's Node is written by hand: torch.func
// refuses torch::autograd::Function.
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/library.h>

#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>

#include <rope/rope.h>

#include "not_yet.h"
#include "recorded.h"

namespace rope::glue {
namespace {

using torch::autograd::Node;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;
// A std::shared_ptr or a c10::intrusive_ptr, depending on torch's version.
using NodePointer = decltype(torch::autograd::Edge::function);

template <class Pointer, class NodeType>
Pointer make_node() {
  if constexpr (std::is_same_v<Pointer, std::shared_ptr<Node>>) {
    // torch's own deleter, which only these versions declare.
    return Pointer(new NodeType(), [](auto* node) { deleteNode(node); });
  } else {
    return Pointer::unsafe_steal_from_new(new NodeType());
  }
}

// What the kernels read of an incoming gradient, which autograd may have expanded or negated.
at::Tensor readable(const at::Tensor& gradient) {
  const at::Tensor resolved = gradient.resolve_neg();
  return resolved.sym_strides().back() == 1 ? resolved : resolved.contiguous();
}

// The gradient of a rotation is the inverse rotation of the gradient: the op itself, so that it can
// be differentiated again. The rotated tensors are not needed and not kept.
class RotateBackward : public Node {
 public:
  void save(const OptionalTensor& pos, const Keywords& keywords) {
    pos_ = saved(pos);
    inv_freq_ = saved(keywords.inv_freq);
    cos_sin_ = saved(keywords.cos_sin);
    cos_ = saved(keywords.cos);
    sin_ = saved(keywords.sin);
    offsets_ = saved(keywords.offsets);
    cu_seqlens_ = saved(keywords.cu_seqlens);
    options_.base = keywords.base;
    options_.attention_factor = keywords.attention_factor;
    options_.rotary_dim = keywords.rotary_dim;
    options_.rotary_offset = keywords.rotary_offset;
    options_.interleaved = keywords.interleaved;
    options_.inverse = !keywords.inverse;
    options_.layout = keywords.layout;
    options_.skip_negative = keywords.skip_negative;
  }

  variable_list apply(variable_list&& gradients) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const OptionalTensor pos = unpack(pos_);
    Options options = options_;
    options.inv_freq = unpack(inv_freq_);
    options.cos_sin = unpack(cos_sin_);
    options.cos = unpack(cos_);
    options.sin = unpack(sin_);
    options.offsets = unpack(offsets_);
    options.cu_seqlens = unpack(cu_seqlens_);
    const auto is_wanted = [&](size_t i) {
      return gradients[i].defined() && task_should_compute_output(i);
    };
    if (gradients.size() == 2 && is_wanted(0) && is_wanted(1)) {
      auto [q, k] = rotate_qk(readable(gradients[0]), readable(gradients[1]), pos, options);
      return {std::move(q), std::move(k)};
    }
    variable_list results(gradients.size());
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (is_wanted(i)) results[i] = rotate(readable(gradients[i]), pos, options);
    }
    return results;
  }

  std::string name() const override { return "RotateBackward"; }

  void release_variables() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (SavedVariable* saved :
         {&pos_, &inv_freq_, &cos_sin_, &cos_, &sin_, &offsets_, &cu_seqlens_}) {
      saved->reset_data();
    }
  }

 private:
  static SavedVariable saved(const OptionalTensor& tensor) {
    return SavedVariable(tensor.value_or(at::Tensor()), /*is_output=*/false);
  }

  static OptionalTensor unpack(const SavedVariable& variable) {
    at::Tensor tensor = variable.unpack();
    return tensor.defined() ? OptionalTensor(std::move(tensor)) : std::nullopt;
  }

  SavedVariable pos_;
  SavedVariable inv_freq_;
  SavedVariable cos_sin_;
  SavedVariable cos_;
  SavedVariable sin_;
  SavedVariable offsets_;
  SavedVariable cu_seqlens_;
  Options options_;
};

// The node for those of the rotated tensors that require grad, or nullptr where none does.
NodePointer record(const char* op, std::initializer_list<const at::Tensor*> rotated,
                   const OptionalTensor& pos, const Keywords& keywords) {
  torch::autograd::edge_list edges;
  const bool records = at::GradMode::is_enabled();
  for (const at::Tensor* tensor : rotated) {
    if (has_tangent({"", tensor})) refuse_tangent(op);
    if (records && tensor->requires_grad()) {
      edges.push_back(torch::autograd::impl::gradient_edge(*tensor));
    }
  }
  for (const Argument& argument : angle_arguments(keywords)) {
    if (has_tangent(argument)) refuse_tangent(op);
    if (records && requires_grad(argument)) refuse_gradient(op, argument.name);
  }
  if (edges.empty()) return {};
  auto node = make_node<NodePointer, RotateBackward>();
  node->set_next_edges(std::move(edges));
  static_cast<RotateBackward&>(*node).save(pos, keywords);
  return node;
}

template <class Signature>
struct RotateAutograd;

template <class... Rest>
struct RotateAutograd<at::Tensor(const at::Tensor&, const OptionalTensor&, Rest...)> {
  static at::Tensor kernel(c10::DispatchKeySet keys, const at::Tensor& x, const OptionalTensor& pos,
                           Rest... rest) {
    const NodePointer node = record("rope::rotate", {&x}, pos, Keywords{rest...});
    at::Tensor out = below_autograd(keys, x, pos, rest...);
    if (node) torch::autograd::set_history(out, node);
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
    const NodePointer node = record("rope::rotate_qk", {&q, &k}, pos, Keywords{rest...});
    Result out = below_autograd(keys, q, k, pos, rest...);
    if (node && q.requires_grad()) torch::autograd::set_history(std::get<0>(out), node);
    if (node && k.requires_grad()) torch::autograd::set_history(std::get<1>(out), node);
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
  if (has_tangent({"", &inv_freq})) refuse_tangent(kOp);
  if (at::GradMode::is_enabled() && inv_freq.requires_grad()) refuse_gradient(kOp, "inv_freq");
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
