/// @file
/// Rotary position embedding on at::Tensor: the ops of torch.ops.rope for C++ callers.
///
/// Inline calls of the dispatcher: link rope::rope, so that the ops are registered; Options crosses
/// no library boundary. Any number of threads may call, as long as none writes what another reads
/// or writes. On the CPU torch's threads share the work, which is done on return; on a GPU it is
/// enqueued on torch's current stream of the tensors' device, without waiting for it. On meta
/// tensors the functions check and make outputs, no more.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>

#include <rope/options.h>
#include <rope/schedules.h>
#include <rope/torch_version.h>
#include <rope/version.h>

namespace rope {

/// @cond
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
/// @endcond

/// @name Operators
/// All functions throw c10::Error, `<op>: <rule>, got <value>`, before anything is written, for
/// instance `rope::apply: rotary_dim must be even, got 63`. What CUDA refuses is thrown likewise,
/// as `rope::apply: CUDA reports <name> (<number>), <text>` and what to do where that is known. The
/// dispatcher and the allocator throw classes derived from it: c10::NotImplementedError for another
/// device, c10::OutOfMemoryError.
///@{

/// Rotates q and k in place. Components beside the rotated ones are neither read nor written.
/// @param q (B, S, H, D), or as Options::layout says; three dimensions are (T, H, D). float16,
/// bfloat16 or float32, with last stride 1 and any other strides, on the CPU or a GPU. It does not
/// overlap itself or another argument. While grad mode is on, neither it nor k nor what makes the
/// angles requires grad, and none ever has a forward-mode tangent.
/// @param k as q, of the same type and device and as many batches and tokens; H, D and strides may
/// differ. None: q alone.
/// @param pos int32 or int64, of any strides and values, on q's device: (S,), (1, S) or (B, S) in
/// every layout, (T,) for three dimensions, behind a dimension of A where inv_freq has A > 1 axes,
/// where it is required. None: tokens are counted 0, 1, 2, … in each sequence.
/// @param options the keywords
inline void apply(const at::Tensor& q, const std::optional<at::Tensor>& k = std::nullopt,
                  const std::optional<at::Tensor>& pos = std::nullopt,
                  const Options& options = {}) {
  detail::call(detail::apply_op(), options, q, k, pos);
}

/// Rotates a copy. Differentiable any number of times in x and in a floating-point inv_freq, in
/// reverse and in forward mode; tables are constants, and are refused where they or the inv_freq
/// beside them require grad.
/// @param x as q of apply(), but it may overlap anything, itself too
/// @param pos,options as in apply()
/// @return A tensor of x's type, laid out as at::empty_like lays it out. Components beside the
/// rotated ones are x's, bit for bit.
inline at::Tensor rotate(const at::Tensor& x, const std::optional<at::Tensor>& pos = std::nullopt,
                         const Options& options = {}) {
  return detail::call(detail::rotate_op(), options, x, pos);
}

/// Rotates copies of two tensors in one call, as rotate() does with each.
/// @param q as x of rotate()
/// @param k as q, of the same type and device and as many batches and tokens
/// @param pos,options as in apply()
/// @return those of q and of k
inline std::tuple<at::Tensor, at::Tensor> rotate_qk(
    const at::Tensor& q, const at::Tensor& k, const std::optional<at::Tensor>& pos = std::nullopt,
    const Options& options = {}) {
  return detail::call(detail::rotate_qk_op(), options, q, k, pos);
}

/// Rotates the leading heads of a packed projection in place; the others, the values, are neither
/// read nor written.
/// @param qkv (B, S, Hq + Hk + Hv, D), else as q of apply()
/// @param pos as in apply()
/// @param num_heads_q Hq, at least 0
/// @param num_heads_k Hk, at least 0; with num_heads_q at most the heads of qkv
/// @param options the keywords; a dimension of H in them fits both Hq and Hk, if not 0
inline void apply_qkv(const at::Tensor& qkv, const std::optional<at::Tensor>& pos,
                      int64_t num_heads_q, int64_t num_heads_k, const Options& options = {}) {
  detail::call(detail::apply_qkv_op(), options, qkv, pos, num_heads_q, num_heads_k);
}

/// Turns keys rotated for old_pos into keys rotated for new_pos, in place, in one rotation by the
/// exact difference of the phases, with one rounding.
/// @param k as q of apply()
/// @param old_pos as pos of apply(), for the axes of the old frequencies
/// @param new_pos as pos of apply(), for the axes of the new frequencies
/// @param options the keywords
inline void rerotate(const at::Tensor& k, const at::Tensor& old_pos, const at::Tensor& new_pos,
                     const RerotateOptions& options = {}) {
  detail::rerotate_op().call(k, old_pos, new_pos, options.old_inv_freq, options.new_inv_freq,
                             options.base, options.scale, options.rotary_dim, options.rotary_offset,
                             options.interleaved, options.layout, options.skip_negative);
}

/// Makes a cached table: the values that are computed without one.
/// @param inv_freq as Options::inv_freq, of one axis and for all heads, (n,) or (1, n), n = 1 …
/// 512. It is a constant, and refused where it requires grad while grad mode is on.
/// @param rows at least 0
/// @param start the position of row 0, any value; positions count mod 2^64
/// @param attention_factor as Options::attention_factor
/// @return float32 (rows, 2n) = `[cos | sin]` on inv_freq's device, without gaps
inline at::Tensor cos_sin_table(const at::Tensor& inv_freq, int64_t rows, int64_t start = 0,
                                double attention_factor = 1.0) {
  static const auto op = detail::find_op<detail::CosSinTableSignature>("rope::cos_sin_table");
  return op.call(inv_freq, rows, start, attention_factor);
}

/// Exact frequencies: turns of 2^-64 per position, which no cast of floating-point tensors can
/// hurt.
/// @param inv_freq float32 or float64 radians per position, of any shape and strides
/// @return round(inv_freq / 2π · 2^64) mod 2^64 as int64 of that shape, without gaps. What is not
/// finite is an error on the CPU; on a GPU, where nobody looks, it becomes INT64_MIN, half a turn,
/// which no finite frequency becomes. The operators make NaN of such a frequency there.
inline at::Tensor turns(const at::Tensor& inv_freq) {
  static const auto op = detail::find_op<detail::TurnsSignature>("rope::turns");
  return op.call(inv_freq);
}

///@}

}  // namespace rope
