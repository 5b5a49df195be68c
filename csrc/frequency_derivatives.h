// How a rotation changes with its frequencies: what learned frequencies need. For autograd alone.
// Written in ATen ops, so that autograd, forward mode, vmap and torch.compile see through it: it
// can be differentiated again, and one text serves every device.
#pragma once

#include <ATen/core/Tensor.h>

#include <rope/rope.h>

#include "call.h"

namespace rope::glue {

// A pair (x, y) that was rotated by the angle t moves with t by (-y, x). With y' = rotated and the
// pair's own position on axis a, d y' / d inv_freq[a] is pos[a] * (-y', x'), negated under inverse;
// the attention factor is in y' already. In the functions below options.inv_freq is given and is
// floating-point, and no table is; rotated is the result of rope::rotate with pos and options.
// Tokens left alone by skip_negative contribute nothing.

// The gradient to inv_freq, of its shape, type and device: sum over tokens, and over heads unless
// each has its own, of pos[a] * (x' * gradient_y - y' * gradient_x). Products are float32, sums
// float64, without atomic operations. gradient: like rotated, any strides.
at::Tensor frequency_gradient(const at::Tensor& rotated, const at::Tensor& gradient,
                              const OptionalTensor& pos, const Options& options);

// How rotated moves where inv_freq moves by tangent: of rotated's shape and type.
at::Tensor frequency_tangent(const at::Tensor& rotated, const at::Tensor& tangent,
                             const OptionalTensor& pos, const Options& options);

}  // namespace rope::glue
