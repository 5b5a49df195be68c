// The gradient of a rotation is the inverse rotation of the gradient: the op itself, so that it can
// be differentiated again. The rotated tensors are not needed and not kept, unless frequencies are
// learned: their gradient is made of the results, which the graph around them mostly keeps anyhow.
#include "backward.h"

#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/dynamo/compiled_autograd.h>

#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>

#include "frequency_derivatives.h"

namespace rope::glue {
namespace {

using torch::autograd::Node;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// q and k.
constexpr size_t kMaxRotated = 2;

template <class Pointer, class NodeType>
Pointer make_node() {
  if constexpr (std::is_same_v<Pointer, std::shared_ptr<Node>>) {
    // torch's own deleter, which only these versions declare.
    return Pointer(new NodeType(), [](auto* node) { deleteNode(node); });
  } else {
    return Pointer::unsafe_steal_from_new(new NodeType());
  }
}

// Its inputs are the gradients to the results, one for each rotated tensor. Its outputs are the
// gradients to the rotated tensors, then, if it is learned, the one to inv_freq.
class RotateBackward : public Node {
 public:
  void save(const OptionalTensor& pos, const Keywords& keywords, bool is_learned) {
    is_learned_ = is_learned;
    options_ = options_of(keywords);
    pos_ = saved(pos);
    // The tensors are kept as autograd keeps them, and put into copies of the options.
    inv_freq_ = saved(std::exchange(options_.inv_freq, std::nullopt));
    cos_sin_ = saved(std::exchange(options_.cos_sin, std::nullopt));
    cos_ = saved(std::exchange(options_.cos, std::nullopt));
    sin_ = saved(std::exchange(options_.sin, std::nullopt));
    offsets_ = saved(std::exchange(options_.offsets, std::nullopt));
    cu_seqlens_ = saved(std::exchange(options_.cu_seqlens, std::nullopt));
  }

  void set_result(const NodePointer& self, size_t i, const at::Tensor& result) {
    if (!is_learned_ && !next_edge(i).is_valid()) {
      add_input_metadata(undefined_input{});
      return;
    }
    torch::autograd::set_history(result, self);
    if (is_learned_) results_[i] = SavedVariable(result, /*is_output=*/true);
  }

  variable_list apply(variable_list&& gradients) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const OptionalTensor pos = unpack(pos_);
    const Options options = unpacked_options();
    variable_list outputs = rotate_back(gradients, pos, options);
    if (is_learned_) outputs.push_back(to_frequencies(gradients, pos, options));
    return outputs;
  }

  std::string name() const override { return "RotateBackward"; }

  void release_variables() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    for_each_saved(*this, [](SavedVariable& saved, bool) { saved.reset_data(); });
  }

  // What compiled autograd takes for a constant of its graph, and what for its input.
  void compiled_args(torch::dynamo::autograd::CompiledNodeArgs& args) const override {
    for_each_saved(
        *this, [&](const SavedVariable& saved, bool is_output) { args.collect(saved, is_output); });
    args.collect(is_learned_);
    args.collect(options_.base);
    args.collect(options_.attention_factor);
    args.collect(options_.rotary_dim);
    args.collect(options_.rotary_offset);
    args.collect(options_.interleaved);
    args.collect(options_.inverse);
    args.collect(options_.layout);
    args.collect(options_.skip_negative);
  }

  variable_list apply_with_saved(const variable_list& gradients,
                                 torch::dynamo::autograd::SwapSavedVariables& swap) override {
    for_each_saved(*this, [&](SavedVariable& saved, bool) { swap.before(saved); });
    variable_list outputs = apply(variable_list(gradients));
    for_each_saved(*this, [&](SavedVariable& saved, bool) { swap.after(saved); });
    return outputs;
  }

 private:
  static SavedVariable saved(const OptionalTensor& tensor) {
    return SavedVariable(tensor.value_or(at::Tensor()), /*is_output=*/false);
  }

  static OptionalTensor unpack(const SavedVariable& variable) {
    at::Tensor tensor = variable.unpack();
    return tensor.defined() ? OptionalTensor(std::move(tensor)) : std::nullopt;
  }

  template <class Self, class Visit>
  static void for_each_saved(Self& self, const Visit& visit) {
    for (auto* saved : {&self.pos_, &self.inv_freq_, &self.cos_sin_, &self.cos_, &self.sin_,
                        &self.offsets_, &self.cu_seqlens_}) {
      visit(*saved, /*is_output=*/false);
    }
    for (auto& result : self.results_) visit(result, /*is_output=*/true);
  }

  Options unpacked_options() const {
    Options options = options_;
    options.inv_freq = unpack(inv_freq_);
    options.cos_sin = unpack(cos_sin_);
    options.cos = unpack(cos_);
    options.sin = unpack(sin_);
    options.offsets = unpack(offsets_);
    options.cu_seqlens = unpack(cu_seqlens_);
    return options;
  }

  variable_list rotate_back(const variable_list& gradients, const OptionalTensor& pos,
                            Options options) {
    options.inverse = !options.inverse;
    const auto is_wanted = [&](size_t i) {
      return gradients[i].defined() && task_should_compute_output(i);
    };
    if (gradients.size() == 2 && is_wanted(0) && is_wanted(1)) {
      auto [q, k] = rotate_qk(readable(gradients[0]), readable(gradients[1]), pos, options);
      return {std::move(q), std::move(k)};
    }
    variable_list outputs(gradients.size());
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (is_wanted(i)) outputs[i] = rotate(readable(gradients[i]), pos, options);
    }
    return outputs;
  }

  at::Tensor to_frequencies(const variable_list& gradients, const OptionalTensor& pos,
                            const Options& options) {
    at::Tensor sum;
    if (!task_should_compute_output(gradients.size())) return sum;
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (!gradients[i].defined()) continue;
      const at::Tensor own =
          frequency_gradient(results_[i].unpack(getptr()), gradients[i], pos, options);
      sum = sum.defined() ? sum + own : own;
    }
    return sum;
  }

  SavedVariable pos_;
  SavedVariable inv_freq_;
  SavedVariable cos_sin_;
  SavedVariable cos_;
  SavedVariable sin_;
  SavedVariable offsets_;
  SavedVariable cu_seqlens_;
  SavedVariable results_[kMaxRotated];
  Options options_;  // without its tensors
  bool is_learned_ = false;
};

}  // namespace

Options options_of(const Keywords& keywords) {
  Options options;
  options.inv_freq = keywords.inv_freq;
  options.cos_sin = keywords.cos_sin;
  options.cos = keywords.cos;
  options.sin = keywords.sin;
  options.base = keywords.base;
  options.attention_factor = keywords.attention_factor;
  options.rotary_dim = keywords.rotary_dim;
  options.rotary_offset = keywords.rotary_offset;
  options.interleaved = keywords.interleaved;
  options.inverse = keywords.inverse;
  options.layout = keywords.layout;
  options.offsets = keywords.offsets;
  options.cu_seqlens = keywords.cu_seqlens;
  options.skip_negative = keywords.skip_negative;
  return options;
}

at::Tensor readable(const at::Tensor& derivative) {
  const at::Tensor resolved = derivative.resolve_neg();
  return resolved.sym_strides().back() == 1 ? resolved : resolved.contiguous();
}

NodePointer make_rotate_backward(std::initializer_list<at::Tensor> rotated,
                                 const OptionalTensor& pos, const Keywords& keywords) {
  const at::Tensor* inv_freq = given(keywords.inv_freq);
  const bool is_learned = inv_freq != nullptr && inv_freq->requires_grad();
  bool is_needed = is_learned;
  torch::autograd::edge_list edges;
  for (const at::Tensor& tensor : rotated) {
    is_needed |= tensor.requires_grad();
    edges.push_back(torch::autograd::impl::gradient_edge(tensor));
  }
  if (!is_needed) return {};
  if (is_learned) edges.push_back(torch::autograd::impl::gradient_edge(*inv_freq));
  auto node = make_node<NodePointer, RotateBackward>();
  node->set_next_edges(std::move(edges));
  static_cast<RotateBackward&>(*node).save(pos, keywords, is_learned);
  return node;
}

void set_results(const NodePointer& node, std::initializer_list<at::Tensor> results) {
  size_t i = 0;
  for (const at::Tensor& result : results) {
    static_cast<RotateBackward&>(*node).set_result(node, i++, result);
  }
}

}  // namespace rope::glue
