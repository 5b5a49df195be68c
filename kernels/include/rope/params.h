// Params: one call of the rotation, as raw pointers, extents and strides.
// Shared by every backend and by <rope/kernels.h>; plain C++17, no torch and no CUDA headers.
// All strides count elements of the array they index, never bytes.
#pragma once

#include <cstdint>
#include <type_traits>

namespace rope {

enum class Dtype : int32_t { kFloat32 = 0, kFloat16 = 1, kBFloat16 = 2 };
enum class Pairing : int32_t { kSplit = 0, kInterleaved = 1 };
enum class Integer : int32_t { kInt32 = 0, kInt64 = 1 };

constexpr int32_t kMaxRotaryDim = 1024;
// Four position axes, twice: a re-rotation adds the new positions and subtracts the old ones.
constexpr int32_t kMaxAxes = 8;
// Words of Frequencies that launch_cuda takes from host memory, as kernel arguments (4 KiB).
constexpr int32_t kMaxHostTurns = 512;
// What a frequency that is NaN or infinite becomes, where only the device has seen it.
constexpr uint64_t kInvalidTurns = uint64_t{1} << 63;

// Where (batch, token, head) lies; size-1 extents may have any stride.
struct Strides {
  int64_t batch = 0;
  int64_t token = 0;
  int64_t head = 0;
};

// One rotated tensor (batch, token, head, component); the components of a head are adjacent.
struct Heads {
  const void* in = nullptr;  // the first rotated component of batch 0, token 0, head 0
  void* out = nullptr;       // the same address and strides rotate in place; no other overlap
  int64_t num_heads = 0;     // 0: there is no such tensor
  Strides in_stride;
  Strides out_stride;
};

// The position of a token on one axis.
struct Axis {
  const void* positions = nullptr;  // nullptr counts 0, 1, 2, … from the start of the sequence
  Integer type = Integer::kInt64;
  int64_t stride_batch = 0;
  int64_t stride_token = 0;
  bool skip_negative = false;  // tokens whose value here is negative stay as they are
};

struct IntegerArray {
  const void* data = nullptr;
  Integer type = Integer::kInt64;
  int64_t stride = 1;
};

// Turns per position, 2^-64 of a turn each (phase.h makes them): word (axis, head, pair) lies at
// turns[axis * stride_axis + head * stride_head + pair].
struct Frequencies {
  const uint64_t* turns = nullptr;  // nullptr: there are none, which only a table allows
  int64_t stride_axis = 0;
  int64_t stride_head = 0;        // 0: all heads share them
  bool on_host = true;            // launch_cuda only: false says that turns is device memory
  bool may_be_invalid = false;    // kInvalidTurns means NaN instead of half a turn
  float attention_factor = 1.0f;  // multiplies computed cosines and sines, after their rounding
};

// Cosines and sines made beforehand: row p of num_rows serves position p (on the first axis), or,
// per token, row (batch, token). Value (row, head, pair) of cos lies at
// cos[row * stride.token + head * stride.head + pair * stride_pair], for sin likewise.
// A position without a row is computed from the frequencies or, where there are none, becomes NaN.
struct Table {
  const void* cos = nullptr;  // nullptr: there is no table
  const void* sin = nullptr;
  Dtype dtype = Dtype::kFloat32;
  bool per_token = false;
  int64_t num_rows = 0;
  Strides stride;  // batch only per token; head 0: all heads share a row
  int64_t stride_pair = 1;
};

// The phase of pair i of a token is the sum over the axes of (position + offset) · turns, mod 2^64.
struct Params {
  uint64_t size = sizeof(Params);  // tells callers of other versions apart; leave as it is
  Dtype dtype = Dtype::kFloat32;   // of q and k
  Pairing pairing = Pairing::kSplit;
  int32_t rotary_dim = 0;  // even, 2 … kMaxRotaryDim
  bool inverse = false;    // negates the sine
  int64_t num_batches = 0;
  int64_t num_tokens = 0;  // of each batch
  Heads q;
  Heads k;
  int32_t num_axes = 1;
  Axis axes[kMaxAxes];
  IntegerArray offsets;       // added on every axis; one each batch, or each sequence of cu_seqlens
  IntegerArray cu_seqlens;    // num_sequences + 1 starts of sequences in the only batch, ascending
  int64_t num_sequences = 0;  // 0: each batch is one sequence
  Frequencies frequencies;
  Table table;
};

static_assert(std::is_trivially_copyable_v<Params>, "Params travels as kernel argument");

}  // namespace rope
