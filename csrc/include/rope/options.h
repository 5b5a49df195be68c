/// @file
/// The keywords of the ops, with the ops' names and defaults. For `<rope/rope.h>`, which includes
/// it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>

namespace rope {

/// What apply(), rotate(), rotate_qk() and apply_qkv() take beside the tensors and pos. B, S (or
/// T), H and D are the extents of the rotated tensors, n = rotary_dim / 2 pairs are rotated.
///
/// The angle of pair i at position p is p · f(i), from the first of these that is given: a table
/// (cos_sin, or cos and sin; inv_freq then only serves positions without a row), inv_freq, base.
/// Tensors are on the device of the rotated ones, but inv_freq may stay on the CPU.
struct Options {
  /// Radians per position, float32 or float64, taken as exact, or int64 turns (turns()): (n,),
  /// (A, n) for A <= 4 position axes, whose angles add up, or (A, H, n) for each of the H heads of
  /// every rotated tensor; beside a table (n,) or (1, n). Any strides; gaps cost a copy.
  ///
  /// A value that is not finite is refused on the CPU; on a GPU, where nobody looks, its pairs
  /// become NaN. There floating-point values cost a launch and a temporary; those that stay on the
  /// CPU are read at once, kMaxHostTurns at most, and a captured graph keeps what they were.
  std::optional<at::Tensor> inv_freq;
  /// A cached table (rows, 2n) = `[cos | sin]`, row p for position p: float32 or the type of the
  /// rotated tensors; rows may be padded, the last stride is 1. A position without a row is
  /// computed from inv_freq; without inv_freq the rotated components become NaN. Or a row for each
  /// token, (B, S, 2n) or (1, S, 2n) in every layout, (1, T, 2n) for three dimensions; pos, offsets
  /// and cu_seqlens are then refused.
  std::optional<at::Tensor> cos_sin;
  /// The same as two tensors of any strides, which come together and without cos_sin: (rows, n),
  /// (B, S, n), (1, S, n), (B, S, H or 1, n). They are read as they are where their strides are
  /// equal, else copied first.
  std::optional<at::Tensor> cos;
  std::optional<at::Tensor> sin;  ///< of the type and extents of cos
  double base = 10000.0;          ///< f(i) = base^(−2i/rotary_dim); finite, > 0
  /// Multiplies computed cosines and sines, a table's not; finite, > 0 in float32.
  double attention_factor = 1.0;
  /// Components of a head that are rotated: even, 2 … 1024. 0: as wide as the table or inv_freq,
  /// else the head less rotary_offset, which q and k then agree on.
  int64_t rotary_dim = 0;
  int64_t rotary_offset = 0;  ///< where they start; negative counts from the end of the head
  bool interleaved = false;   ///< pairs (2i, 2i + 1) instead of (i, i + n)
  bool inverse = false;       ///< negative angles: the transpose, the backward pass
  /// Or "bhsd", "sbhd", "thd", which is (T, H, D). Three dimensions are read as "thd" under "bshd",
  /// and refused under the other two.
  std::string layout = "bshd";
  /// int32 or int64 (B,), added to the positions of a sequence on every axis; (N,) beside
  /// cu_seqlens, (1,) for three dimensions without.
  std::optional<at::Tensor> offsets;
  /// int32 or int64 (N + 1,), for three dimensions alone: where sequences start, 0 first, T last,
  /// none descending; positions restart there where pos is not given. Values are checked on the CPU
  /// alone; on a GPU wrong ones give unspecified positions, never an access outside.
  std::optional<at::Tensor> cu_seqlens;
  /// Tokens whose value in pos, on the first axis and before offsets, is negative stay as they are;
  /// rotate() and rotate_qk() copy them.
  bool skip_negative = false;
};

/// What rerotate() takes beside the keys and positions.
struct RerotateOptions {
  /// Frequencies that k was rotated with, as Options::inv_freq; none: those of base.
  std::optional<at::Tensor> old_inv_freq;
  /// Frequencies to rotate k with; none: the old ones. They may differ in axes and heads, but both
  /// are on k's device or both on the CPU, where base is too.
  std::optional<at::Tensor> new_inv_freq;
  double base = 10000.0;  ///< as Options::base
  double scale = 1.0;     ///< multiplies cosines and sines; finite, > 0 in float32
  /// As Options::rotary_dim; 0: as wide as new_inv_freq or old_inv_freq, else the head.
  int64_t rotary_dim = 0;
  int64_t rotary_offset = 0;    ///< as Options::rotary_offset
  bool interleaved = false;     ///< as Options::interleaved
  std::string layout = "bshd";  ///< as Options::layout
  bool skip_negative = false;   ///< as Options::skip_negative, by old_pos or new_pos
};

}  // namespace rope
