// Rotary position embedding on at::Tensor: the ops of torch.ops.rope for C++ callers.
// Inline calls of the dispatcher: link rope::rope, so that the ops are registered; Options crosses
// no library boundary.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include <rope/schedules.h>
#include <rope/torch_version.h>
#include <rope/version.h>

namespace rope {

// The keywords of the ops, with the ops' names and defaults. n = rotary_dim / 2 pairs are rotated.
// The angle of pair i at position p is p · f(i), from the first of these that is given: a table
// (cos_sin, or cos and sin; inv_freq then only serves positions without a row), inv_freq, base.
struct Options {
  // Radians per position, float32 or float64, taken as exact, or int64 turns (rope::turns):
  // (n,), (A, n) for A <= 4 position axes, whose angles add up, or (A, H, n) for each of the H
  // heads of every rotated tensor. On the device of the rotated tensors, or on the CPU.
  std::optional<at::Tensor> inv_freq;
  // A cached table (rows, 2n) = [cos | sin], row p for position p: float32 or the type of the
  // rotated tensors; rows may be padded, the last stride is 1. A position without a row is computed
  // from inv_freq; without inv_freq the rotated components become NaN. Or a row for each token,
  // (B, S, 2n) or (1, S, 2n); pos, offsets and cu_seqlens are then refused.
  std::optional<at::Tensor> cos_sin;
  // The same as two tensors of any strides: (rows, n), (B, S, n), (1, S, n), (B, S, H or 1, n).
  // They are read as they are where their strides are equal, else copied first.
  std::optional<at::Tensor> cos;
  std::optional<at::Tensor> sin;
  double base = 10000.0;          // f(i) = base^(-2i/rotary_dim); finite, > 0
  double attention_factor = 1.0;  // multiplies computed cosines and sines; finite, > 0 in float32
  // Even, 2 … 1024. 0: as wide as the table or inv_freq, else the head less rotary_offset.
  int64_t rotary_dim = 0;
  int64_t rotary_offset = 0;    // where they start; negative counts from the end of the head
  bool interleaved = false;     // pairs (2i, 2i + 1) instead of (i, i + n)
  bool inverse = false;         // negative angles: the transpose, the backward pass
  std::string layout = "bshd";  // or "bhsd", "sbhd", "thd"
  // int32 or int64 (B,), added to the positions of a sequence on every axis; (N,) beside
  // cu_seqlens, (1,) for "thd" without.
  std::optional<at::Tensor> offsets;
  // int32 or int64 (N + 1,), "thd" alone: where sequences start, 0 first, T last; positions restart
  // there where pos is not given. Values are checked on the CPU alone.
  std::optional<at::Tensor> cu_seqlens;
  // Tokens whose value in pos, on the first axis and before offsets, is negative stay as they are.
  bool skip_negative = false;
};

// The keywords of rerotate; a missing old_inv_freq means base, a missing new_inv_freq the old ones.
// Both are on k's device or both on the CPU, where base is too.
struct RerotateOptions {
  std::optional<at::Tensor> old_inv_freq;
  std::optional<at::Tensor> new_inv_freq;
  double base = 10000.0;
  double scale = 1.0;  // multiplies cosines and sines
  int64_t rotary_dim = 0;
  int64_t rotary_offset = 0;
  bool interleaved = false;
  std::string layout = "bshd";
  bool skip_negative = false;
};

// The C++ types of the ops and their handles in the dispatcher, in the order of the schemas.
namespace detail {

using OptionalTensor = std::optional<at::Tensor>;

template <class Result, class... Leading>
using Signature = Result(Leading..., const OptionalTensor& inv_freq, const OptionalTensor& cos_sin,
                         const OptionalTensor& cos, const OptionalTensor& sin, double base,
                         double attention_factor, int64_t rotary_dim, int64_t rotary_offset,
                         bool interleaved, bool inverse, std::string_view layout,
                         const OptionalTensor& offsets, const OptionalTensor& cu_seqlens,
                         bool skip_negative);

using ApplySignature =
    Signature<void, const at::Tensor&, const OptionalTensor&, const OptionalTensor&>;
using RotateSignature = Signature<at::Tensor, const at::Tensor&, const OptionalTensor&>;
using RotateQkSignature = Signature<std::tuple<at::Tensor, at::Tensor>, const at::Tensor&,
                                    const at::Tensor&, const OptionalTensor&>;
using ApplyQkvSignature =
    Signature<void, const at::Tensor&, const OptionalTensor&, int64_t, int64_t>;
using RerotateSignature = void(const at::Tensor& k, const at::Tensor& old_pos,
                               const at::Tensor& new_pos, const OptionalTensor& old_inv_freq,
                               const OptionalTensor& new_inv_freq, double base, double scale,
                               int64_t rotary_dim, int64_t rotary_offset, bool interleaved,
                               std::string_view layout, bool skip_negative);
using CosSinTableSignature = at::Tensor(const at::Tensor& inv_freq, int64_t rows, int64_t start,
                                        double attention_factor);
using TurnsSignature = at::Tensor(const at::Tensor& inv_freq);

template <class OpSignature>
c10::TypedOperatorHandle<OpSignature> find_op(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<OpSignature>();
}

inline const c10::TypedOperatorHandle<ApplySignature>& apply_op() {
  static const auto op = find_op<ApplySignature>("rope::apply");
  return op;
}

inline const c10::TypedOperatorHandle<RotateSignature>& rotate_op() {
  static const auto op = find_op<RotateSignature>("rope::rotate");
  return op;
}

inline const c10::TypedOperatorHandle<RotateQkSignature>& rotate_qk_op() {
  static const auto op = find_op<RotateQkSignature>("rope::rotate_qk");
  return op;
}

inline const c10::TypedOperatorHandle<ApplyQkvSignature>& apply_qkv_op() {
  static const auto op = find_op<ApplyQkvSignature>("rope::apply_qkv");
  return op;
}

inline const c10::TypedOperatorHandle<RerotateSignature>& rerotate_op() {
  static const auto op = find_op<RerotateSignature>("rope::rerotate");
  return op;
}

// Calls op with its leading arguments and then every keyword.
template <class Op, class... Leading>
auto call(const Op& op, const Options& options, const Leading&... leading) {
  return op.call(leading..., options.inv_freq, options.cos_sin, options.cos, options.sin,
                 options.base, options.attention_factor, options.rotary_dim, options.rotary_offset,
                 options.interleaved, options.inverse, options.layout, options.offsets,
                 options.cu_seqlens, options.skip_negative);
}

}  // namespace detail

// All functions take float16, bfloat16 or float32 tensors (B, S, H, D), or as layout says, with
// last stride 1 and any other strides; three dimensions are (T, H, D). q and k may differ in H, D
// and strides. pos is int32 or int64, (S,), (1, S) or (B, S) in every layout, (T,) for three
// dimensions, behind a dimension of A where inv_freq has A > 1 axes; without it tokens are counted
// 0, 1, 2, … in each sequence. They throw c10::Error "<op>: <rule>, got <value>" before anything is
// written.

// Rotates q and k in place. They must not overlap each other, themselves or another argument, and
// nothing may require grad while grad mode is on.
inline void apply(const at::Tensor& q, const std::optional<at::Tensor>& k = std::nullopt,
                  const std::optional<at::Tensor>& pos = std::nullopt,
                  const Options& options = {}) {
  detail::call(detail::apply_op(), options, q, k, pos);
}

// A rotated copy of x, laid out as at::empty_like lays it out. Differentiable in x and in a
// floating-point inv_freq, in reverse and in forward mode.
inline at::Tensor rotate(const at::Tensor& x, const std::optional<at::Tensor>& pos = std::nullopt,
                         const Options& options = {}) {
  return detail::call(detail::rotate_op(), options, x, pos);
}

// Rotated copies of q and k. Differentiable in both and in inv_freq.
inline std::tuple<at::Tensor, at::Tensor> rotate_qk(
    const at::Tensor& q, const at::Tensor& k, const std::optional<at::Tensor>& pos = std::nullopt,
    const Options& options = {}) {
  return detail::call(detail::rotate_qk_op(), options, q, k, pos);
}

// Rotates the first num_heads_q + num_heads_k heads of a packed projection (B, S, Hq + Hk + Hv, D)
// in place; the others are neither read nor written.
inline void apply_qkv(const at::Tensor& qkv, const std::optional<at::Tensor>& pos,
                      int64_t num_heads_q, int64_t num_heads_k, const Options& options = {}) {
  detail::call(detail::apply_qkv_op(), options, qkv, pos, num_heads_q, num_heads_k);
}

// Turns keys rotated for old_pos into keys rotated for new_pos, in place, in one rotation by the
// exact difference of the phases, with one rounding.
inline void rerotate(const at::Tensor& k, const at::Tensor& old_pos, const at::Tensor& new_pos,
                     const RerotateOptions& options = {}) {
  detail::rerotate_op().call(k, old_pos, new_pos, options.old_inv_freq, options.new_inv_freq,
                             options.base, options.scale, options.rotary_dim, options.rotary_offset,
                             options.interleaved, options.layout, options.skip_negative);
}

// The cached table, float32 (rows, 2n), of positions start … start + rows − 1, on inv_freq's
// device. inv_freq as in Options; the values are those that are computed without a table.
inline at::Tensor cos_sin_table(const at::Tensor& inv_freq, int64_t rows, int64_t start = 0,
                                double attention_factor = 1.0) {
  static const auto op = detail::find_op<detail::CosSinTableSignature>("rope::cos_sin_table");
  return op.call(inv_freq, rows, start, attention_factor);
}

// round(f / 2π · 2^64) as int64 for float32 or float64 radians per position, any shape. What is not
// finite is an error on the CPU; on a GPU, which alone sees it, it becomes INT64_MIN, half a turn,
// which no finite frequency becomes. The ops themselves make NaN of such a frequency there.
inline at::Tensor turns(const at::Tensor& inv_freq) {
  static const auto op = detail::find_op<detail::TurnsSignature>("rope::turns");
  return op.call(inv_freq);
}

}  // namespace rope
