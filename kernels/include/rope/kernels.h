/// @file
/// The rotation without torch: fill a rope::Params, then rope::run_cpu or rope::launch_cuda.
///
/// Plain C++17 without CUDA headers. No function here throws, allocates memory or synchronises with
/// a GPU (the CUDA runtime, at a process's first launch, may allocate for itself). All may be
/// called from any number of threads at once, as long as none writes what another reads or writes.
///
/// A Status from kParamsSize to kNoCudaBuild comes before anything is read from the arrays or
/// written. The CPU's functions keep no pointer. A launch copies its structure and what it reads of
/// host memory before it returns; its device memory has to last until the stream is past it.
#pragma once

#include <cstdint>

#include <rope/params.h>

namespace rope {

/// @name Status
///@{

/// What a call came to. Values beyond kCudaError are kCudaError + the cudaError_t.
enum class Status : int32_t {
  kSuccess = 0,        ///< done or, by a launch, enqueued
  kParamsSize = 1,     ///< Params::size or TableParams::size is not this library's
  kRotaryDim = 2,      ///< Params::rotary_dim or TableParams::num_pairs outside its range, or odd
  kExtent = 3,         ///< a negative extent, a count that does not fit 63 bits, a slice that lies
                       ///< outside, sequences in several batches
  kAxes = 4,           ///< Params::num_axes outside 1 … kMaxAxes
  kNoAngles = 5,       ///< neither frequencies nor a table
  kNullPointer = 6,    ///< a tensor with elements but without an address
  kHostTurns = 7,      ///< more than kMaxHostTurns words of frequencies in host memory, or words
                       ///< before the first one
  kAlignment = 8,      ///< an address that is not a multiple of its element's size
  kEnumeration = 9,    ///< a Dtype, Pairing or Integer that does not exist
  kNoCudaBuild = 100,  ///< this library was built without CUDA
  kCudaError = 1000,   ///< no status by itself: the CUDA runtime's errors come after it
};

/// Puts a status into words.
/// @param status any value
/// @return One English clause, without a full stop but where the CUDA runtime's own, which serve
/// beyond kCudaError, have one. Never nullptr or empty; static storage.
const char* status_text(Status status) noexcept;

/// CUDA's name for a status.
/// @param status any value
/// @return As in "cudaErrorInvalidValue" beyond kCudaError; "" for every other one and in a build
/// without CUDA. Static storage.
const char* cuda_error_name(Status status) noexcept;

///@}
/// @name Rotation
///@{

/// Rotates a slice of a call's tokens, on the calling thread: first … last − 1 of the
/// num_batches · num_tokens tokens, counted batch by batch.
///
/// Slices without a common token may run at the same time. Results do not depend on how a call is
/// sliced, nor on the thread's rounding direction or flushing of subnormals, which are those of
/// IEEE 754 meanwhile and then as they were (x86-64 and AArch64).
/// @param params all pointers in host memory, whatever Frequencies::on_host says
/// @param first  at least 0
/// @param last   at most num_batches · num_tokens; where it is not above first, nothing is done
/// @return kSuccess, kParamsSize, kEnumeration, kRotaryDim, kExtent, kNullPointer, kAlignment,
/// kAxes or kNoAngles. A call without tokens or heads succeeds with any slice, once its size,
/// extents, rotary_dim, dtype and pairing are good.
Status run_cpu(const Params& params, int64_t first, int64_t last) noexcept;

/// Rotates all tokens of a call, on the calling thread.
/// @param params as above
/// @return as above
Status run_cpu(const Params& params) noexcept;

/// Enqueues the rotation on a stream of the current device. It may be captured into a graph, a
/// process's first call too; the graph keeps the addresses and the frequencies in host memory.
///
/// Where the loaded code is for sm_90 or newer, the kernel may be a programmatic dependent launch:
/// it starts while earlier work of the stream still runs, and reads nothing before that is done.
/// Only a call that exceeds a grid's limits takes more than one kernel. The last error
/// (cudaGetLastError) of the caller's CUDA runtime is neither read nor changed.
/// @param params pointers in device memory, except frequencies with on_host, which may be 4 KiB
/// wide and whose strides are then not negative
/// @param stream a cudaStream_t; nullptr: the default stream
/// @return What run_cpu returns, and kHostTurns. kNoCudaBuild, before all else, in a build without
/// CUDA. Beyond kCudaError it is this call's error, or that of a kernel which ran earlier: CUDA
/// tells whoever calls next.
Status launch_cuda(const Params& params, void* stream) noexcept;

///@}
/// @name Tables and frequencies
/// What is said of run_cpu and launch_cuda, of slices, streams, graphs and errors, holds here too.
///@{

/// A cached table: row r holds the cosines, then the sines of position start + r (mod 2^64), the
/// bits that the rotation computes by itself.
struct TableParams {
  uint64_t size = sizeof(TableParams);  ///< bytes; as in Params
  const uint64_t* turns = nullptr;      ///< num_pairs words; launch_table_cuda: device memory
  int32_t num_pairs = 0;                ///< 1 … kMaxRotaryDim / 2
  int64_t num_rows = 0;                 ///< times 8 · num_pairs, its bytes, it is less than 2^63
  int64_t start = 0;                    ///< the position of row 0: any value
  bool may_be_invalid = false;          ///< as in Frequencies
  float attention_factor = 1.0f;        ///< as in Frequencies
  /// (num_rows, 2 · num_pairs) without gaps; does not overlap turns. Both may be nullptr where
  /// there are no rows.
  float* out = nullptr;
};

/// Writes rows first … last − 1, on the calling thread.
/// @param params pointers in host memory
/// @param first  at least 0
/// @param last   at most num_rows; where it is not above first, nothing is done
/// @return kSuccess, kParamsSize, kRotaryDim, kExtent, kNullPointer or kAlignment. A table without
/// rows takes any slice.
Status fill_table_cpu(const TableParams& params, int64_t first, int64_t last) noexcept;

/// Enqueues the writing of all rows.
/// @param params pointers in device memory
/// @param stream as in launch_cuda
/// @return What fill_table_cpu returns, kNoCudaBuild, or a status beyond kCudaError.
Status launch_table_cuda(const TableParams& params, void* stream) noexcept;

/// A frequency as the kernels take it.
/// @param inv_freq radians per position, taken as exact
/// @return round(inv_freq / 2π · 2^64) mod 2^64, exactly; kInvalidTurns where it is NaN or
/// infinite, and nowhere else: no float64 comes nearer to an odd number of half turns than
/// 6381956970095103 · 2^798, and that is 2.7 · 2^-64 turns away.
uint64_t turns_from_frequency(double inv_freq) noexcept;

/// Enqueues turns_from_frequency of float32 values, widened exactly.
/// @param inv_freq count values without gaps, in device memory
/// @param count    at least 0; where it is 0, the pointers do not count
/// @param turns    count words without gaps, in device memory; do not overlap inv_freq
/// @param stream   as in launch_cuda
/// @return kSuccess, kExtent, kNullPointer, kAlignment, kNoCudaBuild, or a status beyond
/// kCudaError.
Status launch_turns_cuda(const float* inv_freq, int64_t count, uint64_t* turns,
                         void* stream) noexcept;

/// Enqueues turns_from_frequency of float64 values.
/// @param inv_freq,count,turns,stream as above
/// @return as above
Status launch_turns_cuda(const double* inv_freq, int64_t count, uint64_t* turns,
                         void* stream) noexcept;

///@}

}  // namespace rope
