/// @file
/// Params: one call of the rotation, as raw pointers, extents and strides.
///
/// Shared by every backend and by `<rope/kernels.h>`; plain C++17, no torch and no CUDA headers.
/// All strides count elements of the array they index, never bytes, and may be negative or 0. Every
/// address is a multiple of its element's size; wider alignment is only faster.
#pragma once

#include <cstdint>
#include <type_traits>

/// Rotary position embedding: pair i of a token's components, (x, y), becomes
/// (x cos a − y sin a, x sin a + y cos a), a the token's position times the pair's frequency.
namespace rope {

/// The type of data and of tables.
enum class Dtype : int32_t {
  kFloat32 = 0,   ///< IEEE 754 binary32
  kFloat16 = 1,   ///< IEEE 754 binary16
  kBFloat16 = 2,  ///< the upper half of a binary32
};

/// Which components of the n = rotary_dim / 2 pairs belong together.
enum class Pairing : int32_t {
  kSplit = 0,        ///< i and i + n
  kInterleaved = 1,  ///< 2i and 2i + 1
};

/// The type of positions, offsets and starts of sequences; both are signed.
enum class Integer : int32_t {
  kInt32 = 0,  ///< 4 bytes
  kInt64 = 1,  ///< 8 bytes
};

/// The most components of a head that are rotated.
constexpr int32_t kMaxRotaryDim = 1024;
/// Four position axes, twice: a re-rotation adds the new positions and subtracts the old ones.
constexpr int32_t kMaxAxes = 8;
/// Words of Frequencies that launch_cuda takes from host memory, as kernel arguments (4 KiB).
constexpr int32_t kMaxHostTurns = 512;
/// What a frequency that is NaN or infinite becomes, and no other; read as a number, half a turn.
constexpr uint64_t kInvalidTurns = uint64_t{1} << 63;

/// Where (batch, token, head) lies, in elements; size-1 extents may have any stride.
struct Strides {
  int64_t batch = 0;  ///< from a batch to the next
  int64_t token = 0;  ///< from a token of a batch to the next
  int64_t head = 0;   ///< from a head of a token to the next
};

/// One rotated tensor (batch, token, head, component); the components of a head are adjacent. What
/// lies beside the rotary_dim rotated ones is neither read nor written.
///
/// Input and output are the same (address and strides), which rotates in place, or do not overlap.
/// No output overlaps itself, the other tensor or anything else that the call reads. Nobody checks
/// that; results are unspecified where it is not so. Inputs may overlap each other and themselves.
struct Heads {
  const void* in = nullptr;  ///< the first rotated component of batch 0, token 0, head 0
  void* out = nullptr;       ///< where that one goes; of the same Dtype
  int64_t num_heads = 0;     ///< 0: there is no such tensor, and the other members are not read
  Strides in_stride;         ///< of in
  Strides out_stride;        ///< of out
};

/// The position of a token on one axis: any value.
struct Axis {
  /// That of batch 0, token 0; nullptr counts 0, 1, 2, … from the start of the sequence.
  const void* positions = nullptr;
  Integer type = Integer::kInt64;  ///< of positions
  int64_t stride_batch = 0;        ///< from a batch to the next; 0: all have the same positions
  int64_t stride_token = 0;        ///< from a token of a batch to the next
  /// Tokens whose value in positions, before offsets, is negative stay as they are: out of place
  /// their components are copied. Such a value on one of the axes is enough.
  bool skip_negative = false;
};

/// A strided array of integers.
struct IntegerArray {
  const void* data = nullptr;      ///< its first element; nullptr: it is not given
  Integer type = Integer::kInt64;  ///< of its elements
  int64_t stride = 1;              ///< from an element to the next
};

/// Frequencies in turns per position, 2^-64 of a turn each (turns_from_frequency makes them): word
/// (axis, head, pair) is `turns[axis * stride_axis + head * stride_head + pair]`.
struct Frequencies {
  const uint64_t* turns = nullptr;  ///< nullptr: there are none, which only a table allows
  int64_t stride_axis = 0;          ///< from an axis to the next
  int64_t stride_head = 0;          ///< from a head to the next; 0: all heads share them
  bool on_host = true;            ///< for launch_cuda alone: false says that turns is device memory
  bool may_be_invalid = false;    ///< kInvalidTurns means NaN instead of half a turn
  float attention_factor = 1.0f;  ///< multiplies computed cosines and sines, after their rounding
};

/// Cosines and sines made beforehand: row p of num_rows serves position p (on the first axis, with
/// its offset), or, per token, row (batch, token). Value (row, head, pair) of cos is
/// `cos[row * stride.token + head * stride.head + pair * stride_pair]`, for sin likewise.
///
/// A position without a row, a negative one too, is computed from the Frequencies or, where there
/// are none, makes the rotated components NaN. Rows hold the attention factor already.
struct Table {
  const void* cos = nullptr;      ///< nullptr: there is no table, and no other member counts
  const void* sin = nullptr;      ///< of the extents and strides of cos
  Dtype dtype = Dtype::kFloat32;  ///< of both; widened exactly
  bool per_token = false;         ///< a row for each token; positions and num_rows do not count
  int64_t num_rows = 0;           ///< never negative
  Strides stride;                 ///< batch only per token; head 0: all heads share a row
  int64_t stride_pair = 1;        ///< from a pair to the next
};

/// One call. The phase of pair i of a token is the sum over the axes of (position + offset) ·
/// turns, mod 2^64 turns of 2^-64; a Table stands in for it where it has a row.
///
/// No pointer is followed where there are no tokens or no heads.
struct Params {
  uint64_t size = sizeof(Params);     ///< bytes; tells callers of other versions apart: leave it
  Dtype dtype = Dtype::kFloat32;      ///< of q and k
  Pairing pairing = Pairing::kSplit;  ///< of q and k
  int32_t rotary_dim = 0;             ///< rotated components of a head: even, 2 … kMaxRotaryDim
  bool inverse = false;               ///< negates the sine, that of a table too
  int64_t num_batches = 0;            ///< times num_tokens it is less than 2^63
  int64_t num_tokens = 0;             ///< of each batch
  Heads q;                            ///< one rotated tensor
  Heads k;                            ///< another, of as many batches and tokens
  int32_t num_axes = 1;               ///< 1 … kMaxAxes
  Axis axes[kMaxAxes];                ///< the first num_axes of them count
  /// Added to the positions on every axis, the sums mod 2^64: one each batch, or each sequence of
  /// cu_seqlens.
  IntegerArray offsets;
  /// num_sequences + 1 starts of sequences in the only batch: 0 first, num_tokens last, ascending.
  /// Counted positions begin anew at each. Of other values positions are unspecified, and nothing
  /// outside of the arrays is read.
  IntegerArray cu_seqlens;
  int64_t num_sequences = 0;  ///< 0: each batch is one sequence; else there is at most one batch
  Frequencies frequencies;    ///< what angles are computed from
  Table table;                ///< what they are read from, where it has them
};

static_assert(std::is_trivially_copyable_v<Params>, "Params travels as kernel argument");

}  // namespace rope
