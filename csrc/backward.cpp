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
#include <vector>

#include "frequency_derivatives.h"

namespace rope::glue {
namespace {

using torch::autograd::Node;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

template <class Pointer, class NodeType>
Pointer make_node() {
  if constexpr (std::is_same_v<Pointer, std::shared_ptr<Node>>) {
    // torch's own deleter, which only these versions declare.
    return Pointer(new NodeType(), [](auto* node) { deleteNode(node); });
  } else {
    return Pointer::unsafe_steal_from_new(new NodeType());
  }
}

// The tensors that a node keeps, in this order; those that a call has not are undefined.
enum Kept : size_t {
  kPos,
  kInvFreq,
  kCosSin,
  kCos,
  kSin,
  kOffsets,
  kCuSeqlens,
  kResults,  // q's and k's, where inv_freq is learned
  kNumKept = kResults + 2
};

// What a node keeps, unpacked.
struct Rotation {
  OptionalTensor pos;
  Options options;
  at::Tensor results[2];
};

OptionalTensor if_defined(const at::Tensor& tensor) {
  return tensor.defined() ? OptionalTensor(tensor) : std::nullopt;
}

Rotation rotation_of(Options options, const variable_list& kept) {
  options.inv_freq = if_defined(kept[kInvFreq]);
  options.cos_sin = if_defined(kept[kCosSin]);
  options.cos = if_defined(kept[kCos]);
  options.sin = if_defined(kept[kSin]);
  options.offsets = if_defined(kept[kOffsets]);
  options.cu_seqlens = if_defined(kept[kCuSeqlens]);
  return {if_defined(kept[kPos]), std::move(options), {kept[kResults], kept[kResults + 1]}};
}

variable_list rotate_back(const Rotation& rotation, const variable_list& gradients,
                          const std::vector<bool>& is_wanted) {
  Options options = rotation.options;
  options.inverse = !options.inverse;
  const auto is_made = [&](size_t i) { return gradients[i].defined() && is_wanted[i]; };
  if (gradients.size() == 2 && is_made(0) && is_made(1)) {
    auto [q, k] = rotate_qk(readable(gradients[0]), readable(gradients[1]), rotation.pos, options);
    return {std::move(q), std::move(k)};
  }
  variable_list outputs(gradients.size());
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (is_made(i)) outputs[i] = rotate(readable(gradients[i]), rotation.pos, options);
  }
  return outputs;
}

at::Tensor to_frequencies(const Rotation& rotation, const variable_list& gradients) {
  at::Tensor sum;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const at::Tensor own =
        frequency_gradient(rotation.results[i], gradients[i], rotation.pos, rotation.options);
    sum = sum.defined() ? sum + own : own;
  }
  return sum;
}

// From the gradients to the results: those to the rotated tensors, then, where is_wanted goes on,
// the one to inv_freq. What is not wanted stays undefined.
variable_list differentiate(const Rotation& rotation, const variable_list& gradients,
                            const std::vector<bool>& is_wanted) {
  variable_list outputs = rotate_back(rotation, gradients, is_wanted);
  if (is_wanted.size() == gradients.size()) return outputs;
  outputs.push_back(is_wanted.back() ? to_frequencies(rotation, gradients) : at::Tensor());
  return outputs;
}

class RotateBackward : public Node {
 public:
  // The tensors are kept as autograd keeps them, everything else in options_.
  void keep(const OptionalTensor& pos, const Keywords& keywords) {
    options_ = options_of(keywords);
    const auto take = [&](Kept kept, std::optional<at::Tensor>& tensor) {
      kept_[kept] = SavedVariable(tensor.value_or(at::Tensor()), /*is_output=*/false);
      tensor.reset();
    };
    OptionalTensor own_pos = pos;
    take(kPos, own_pos);
    take(kInvFreq, options_.inv_freq);
    take(kCosSin, options_.cos_sin);
    take(kCos, options_.cos);
    take(kSin, options_.sin);
    take(kOffsets, options_.offsets);
    take(kCuSeqlens, options_.cu_seqlens);
  }

  void set_results(const NodePointer& self, std::initializer_list<at::Tensor> results) {
    const bool is_learned = num_outputs() > results.size();
    size_t i = 0;
    for (const at::Tensor& result : results) {
      if (!is_learned && !next_edge(i).is_valid()) {
        add_input_metadata(undefined_input{});
      } else {
        torch::autograd::set_history(result, self);
        if (is_learned) kept_[kResults + i] = SavedVariable(result, /*is_output=*/true);
      }
      ++i;
    }
  }

  variable_list apply(variable_list&& gradients) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return differentiate(rotation_of(options_, unpack()), gradients, wanted());
  }

  std::string name() const override { return "RotateBackward"; }

  void release_variables() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (SavedVariable& kept : kept_) kept.reset_data();
  }

  // Compiled autograd: what its graph depends on. Tensors are its inputs, the rest constants.
  void compiled_args(torch::dynamo::autograd::CompiledNodeArgs& args) const override {
    for (size_t i = 0; i < kNumKept; ++i) args.collect(kept_[i], /*is_output=*/i >= kResults);
    args.collect(options_.base);
    args.collect(options_.attention_factor);
    args.collect(options_.rotary_dim);
    args.collect(options_.rotary_offset);
    args.collect(options_.interleaved);
    args.collect(options_.inverse);
    args.collect(options_.layout);
    args.collect(options_.skip_negative);
  }

  // Compiled autograd: puts differentiate into its graph, to be traced with tensors of the right
  // extents, which the gradients here have not got.
  variable_list apply_with_saved(const variable_list& gradients,
                                 torch::dynamo::autograd::SwapSavedVariables& swap) override {
    using torch::autograd::InputMetadata;
    for (SavedVariable& kept : kept_) swap.before(kept);
    std::vector<at::IValue> kept;
    for (const at::Tensor& tensor : unpack()) kept.emplace_back(tensor);
    const std::vector<at::TypePtr> types(kept.size(), at::TensorType::get());
    const auto function = [options = options_, is_wanted = wanted()](
                              const variable_list& inputs, const std::vector<at::IValue>& values) {
      variable_list tensors;
      for (const at::IValue& value : values) tensors.push_back(value.toTensor());
      return differentiate(rotation_of(options, tensors), inputs, is_wanted);
    };
    const auto metadata =
        torch::dynamo::autograd::IValuePacker<std::vector<std::optional<InputMetadata>>>::pack(
            torch::dynamo::autograd::get_input_metadata(next_edges()));
    const auto& compiler = torch::dynamo::autograd::getPyCompilerInterface();
    const std::string bound = compiler->bind_function(swap.get_py_compiler(), name(), function,
                                                      types, /*is_custom_function=*/true);
    variable_list outputs = compiler->call_function(swap.get_py_compiler(), "apply_functional",
                                                    bound, gradients, kept, metadata);
    for (SavedVariable& saved : kept_) swap.after(saved);
    return outputs;
  }

 private:
  variable_list unpack() {
    variable_list tensors;
    for (size_t i = 0; i < kNumKept; ++i) {
      tensors.push_back(i < kResults ? kept_[i].unpack() : kept_[i].unpack(getptr()));
    }
    return tensors;
  }

  std::vector<bool> wanted() const {
    std::vector<bool> wanted;
    for (size_t i = 0; i < num_outputs(); ++i) wanted.push_back(task_should_compute_output(i));
    return wanted;
  }

  SavedVariable kept_[kNumKept];
  Options options_;  // without its tensors
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
  static_cast<RotateBackward&>(*node).keep(pos, keywords);
  return node;
}

void set_results(const NodePointer& node, std::initializer_list<at::Tensor> results) {
  static_cast<RotateBackward&>(*node).set_results(node, results);
}

}  // namespace rope::glue
