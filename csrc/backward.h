// The backward pass of rope::rotate and rope::rotate_qk as a node of autograd's graph. For
// autograd.cpp. Written by hand: torch.func refuses torch::autograd::Function.
#pragma once

#include <torch/csrc/autograd/function.h>

#include <initializer_list>

#include <rope/rope.h>

#include "call.h"

namespace rope::glue {

// A std::shared_ptr or a c10::intrusive_ptr, depending on torch's version.
using NodePointer = decltype(torch::autograd::Edge::function);

// An owned copy of an op's keywords.
Options options_of(const Keywords& keywords);

// What the kernels read of a gradient or tangent, which autograd may have expanded or negated.
at::Tensor readable(const at::Tensor& derivative);

// The node of a call in grad mode that rotates these tensors; nullptr where neither they nor
// inv_freq require grad.
NodePointer make_rotate_backward(std::initializer_list<at::Tensor> rotated,
                                 const OptionalTensor& pos, const Keywords& keywords);

// Makes the call's results, in the order of rotated above, results of the node.
void set_results(const NodePointer& node, std::initializer_list<at::Tensor> results);

}  // namespace rope::glue
