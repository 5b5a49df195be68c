// The same layer and the same rotation in float64, written out in torch's own operations, with
// bounds for what rounding may do to the ones that are judged by them. Nothing of Rope is used but
// the frequencies that a Layer carries.
#pragma once

#include <ATen/core/Tensor.h>

#include "attention.h"

// Float64: a value, and the most by which float32 arithmetic may miss it.
struct Bounded {
  at::Tensor value;
  at::Tensor error;
};

// x (…, tokens, heads, head_dim) rotated by pos (tokens,) · inv_freq (head_dim / 2,), in float64.
at::Tensor rotate_exactly(const at::Tensor& x, const at::Tensor& pos, const at::Tensor& inv_freq);

// The largest allowed |rotation of x, in x's type − rotate_exactly|, elementwise, for positions up
// to 2^20.
at::Tensor rotation_bound(const at::Tensor& x);

// What attend() should return for all tokens of x at once, (batch, tokens, hidden), where the first
// projection is exact in float32: the bound starts at the rotation.
Bounded attend_exactly(const Layer& layer, const at::Tensor& x);
