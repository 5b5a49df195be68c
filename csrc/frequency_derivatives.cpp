// All tensors here are seen as (B, S, H, n), with extents of 1 where something is shared.
#include "frequency_derivatives.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/stack.h>

#include <utility>
#include <vector>

namespace rope::glue {
namespace {

// The first and the second component of each pair, or of what is added to it.
struct Pairs {
  at::Tensor x;
  at::Tensor y;
};

// Which components are rotated.
struct Window {
  c10::SymInt first;
  c10::SymInt num_pairs;
  c10::SymInt head_dim;
};

// (B, S, H, D), and back: each of these exchanges is its own inverse.
at::Tensor exchanged(const at::Tensor& x, const Options& options) {
  if (options.layout == "bhsd") return x.transpose(1, 2);
  return options.layout == "sbhd" ? x.transpose(0, 1) : x;
}

at::Tensor to_bshd(const at::Tensor& x, const Options& options) {
  return x.dim() == 3 ? x.unsqueeze(0) : exchanged(x, options);
}

Window window_of(const at::Tensor& rotated, const Options& options) {
  const c10::SymInt head_dim = rotated.sym_sizes().back();
  const c10::SymInt first = options.rotary_offset < 0 ? head_dim + options.rotary_offset
                                                      : c10::SymInt(options.rotary_offset);
  return {first, options.inv_freq->sym_sizes().back(), head_dim};
}

// In float32, which holds a product of two 16-bit values exactly.
Pairs pairs_of(const at::Tensor& rotated, const Window& window, const Options& options) {
  const at::Tensor bshd = to_bshd(rotated, options);
  const auto part = [&](const c10::SymInt& from, const c10::SymInt& to, int64_t step) {
    return bshd.slice_symint(-1, from, to, step).to(at::kFloat);
  };
  const c10::SymInt last = window.first + window.num_pairs * 2;
  if (options.interleaved) return {part(window.first, last, 2), part(window.first + 1, last, 2)};
  const c10::SymInt middle = window.first + window.num_pairs;
  return {part(window.first, middle, 1), part(middle, last, 1)};
}

// Into a head of zeros.
at::Tensor joined(const Pairs& pairs, const Window& window, bool interleaved) {
  const at::Tensor both =
      interleaved ? at::stack({pairs.x, pairs.y}, -1).flatten(-2) : at::cat({pairs.x, pairs.y}, -1);
  const c10::SymInt behind = window.head_dim - window.first - window.num_pairs * 2;
  return at::constant_pad_nd_symint(both, {window.first, behind}, 0);
}

// A position counts from the start of its sequence; where several share a batch, sequences tells
// which one a token belongs to.
struct Counted {
  at::Tensor index;      // (1, S)
  at::Tensor sequences;  // (S,); undefined where each batch is one sequence
};

Counted count_tokens(const at::Tensor& bshd, const Options& options) {
  const at::Tensor tokens =
      at::arange(at::Scalar(bshd.sym_sizes()[1]), bshd.options().dtype(at::kLong));
  if (!options.cu_seqlens.has_value()) return {tokens.unsqueeze(0), {}};
  const at::Tensor starts = options.cu_seqlens->to(at::kLong);
  // Between the first and the last start, so that whatever they hold, the sequence exists.
  const at::Tensor sequences = at::searchsorted(starts.slice(0, 1, -1), tokens,
                                                /*out_int32=*/false, /*right=*/true);
  return {(tokens - starts.index_select(0, sequences)).unsqueeze(0), sequences};
}

// Positions on each axis, (1 or B, S, 1, 1) in float64, and which tokens are skipped, in the same
// shape; undefined where none can be.
struct Positions {
  std::vector<at::Tensor> on_axis;
  at::Tensor skipped;
};

Positions positions_of(const at::Tensor& rotated, const OptionalTensor& pos,
                       const Options& options) {
  const at::Tensor bshd = to_bshd(rotated, options);
  const Counted counted = count_tokens(bshd, options);
  const at::Tensor* pos_given = given(pos);
  at::Tensor offset;
  if (options.offsets.has_value()) {
    offset = options.offsets->to(at::kLong);
    offset = counted.sequences.defined() ? offset.index_select(0, counted.sequences).unsqueeze(0)
                                         : offset.unsqueeze(1);
  }
  const at::Tensor& inv_freq = *options.inv_freq;
  const int64_t axes = inv_freq.dim() < 2 ? 1 : inv_freq.size(0);
  Positions positions;
  for (int64_t axis = 0; axis < axes; ++axis) {
    at::Tensor own = counted.index;
    if (pos_given != nullptr)
      own = (axes > 1 ? pos_given->select(0, axis) : *pos_given).to(at::kLong);
    if (own.dim() == 1) own = own.unsqueeze(0);
    if (axis == 0 && options.skip_negative && pos_given != nullptr) {
      positions.skipped = own.lt(0).unsqueeze(-1).unsqueeze(-1);
    }
    if (offset.defined()) own = own + offset;
    positions.on_axis.push_back(own.to(at::kDouble).unsqueeze(-1).unsqueeze(-1));
  }
  return positions;
}

// (A, 1 or H, n)
at::Tensor with_all_dims(const at::Tensor& frequencies) {
  if (frequencies.dim() == 1) return frequencies.unsqueeze(0).unsqueeze(0);
  return frequencies.dim() == 2 ? frequencies.unsqueeze(1) : frequencies;
}

}  // namespace

at::Tensor frequency_gradient(const at::Tensor& rotated, const at::Tensor& gradient,
                              const OptionalTensor& pos, const Options& options) {
  const at::Tensor& inv_freq = *options.inv_freq;
  const Window window = window_of(rotated, options);
  const Positions positions = positions_of(rotated, pos, options);
  const Pairs now = pairs_of(rotated, window, options);
  const Pairs wanted = pairs_of(gradient, window, options);
  at::Tensor angles = now.x * wanted.y - now.y * wanted.x;
  if (positions.skipped.defined()) angles = angles.masked_fill(positions.skipped, 0);
  const bool is_per_head = inv_freq.dim() == 3;
  angles = is_per_head ? angles.to(at::kDouble) : angles.sum({2}, /*keepdim=*/true, at::kDouble);
  std::vector<at::Tensor> sums;
  for (const at::Tensor& position : positions.on_axis) {
    sums.push_back((angles * position).sum(at::IntArrayRef{0, 1}));
  }
  const at::Tensor sum = at::stack(sums).reshape_symint(inv_freq.sym_sizes());
  return (options.inverse ? sum.neg() : sum).to(inv_freq.options());
}

at::Tensor frequency_tangent(const at::Tensor& rotated, const at::Tensor& tangent,
                             const OptionalTensor& pos, const Options& options) {
  const Window window = window_of(rotated, options);
  const Positions positions = positions_of(rotated, pos, options);
  const at::Tensor rates = with_all_dims(tangent.to(rotated.options().dtype(at::kDouble)));
  at::Tensor angles;
  for (size_t axis = 0; axis < positions.on_axis.size(); ++axis) {
    const at::Tensor own = positions.on_axis[axis] * rates.select(0, static_cast<int64_t>(axis));
    angles = angles.defined() ? angles + own : own;
  }
  if (positions.skipped.defined()) angles = angles.masked_fill(positions.skipped, 0);
  angles = (options.inverse ? angles.neg() : angles).to(at::kFloat);
  const Pairs now = pairs_of(rotated, window, options);
  const at::Tensor moved =
      joined({now.y.neg() * angles, now.x * angles}, window, options.interleaved);
  const at::Tensor result = rotated.dim() == 3 ? moved.squeeze(0) : exchanged(moved, options);
  return result.to(rotated.scalar_type());
}

}  // namespace rope::glue
