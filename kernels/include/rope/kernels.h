// The rotation without torch: fill a Params, then run_cpu or launch_cuda.
// Plain C++17 without CUDA headers. No function here throws, allocates or keeps a pointer.
#pragma once

#include <cstdint>

#include <rope/params.h>

namespace rope {

// What a call came to. Values from kCudaError on are kCudaError + the cudaError_t.
enum class Status : int32_t {
  kSuccess = 0,
  kParamsSize = 1,     // Params::size is not this library's
  kRotaryDim = 2,      // odd, below 2 or above kMaxRotaryDim
  kExtent = 3,         // a negative extent, or a count that does not fit 63 bits
  kAxes = 4,           // num_axes outside 1 … kMaxAxes
  kNoAngles = 5,       // neither frequencies nor a table
  kNullPointer = 6,    // a tensor with elements but without an address
  kHostTurns = 7,      // more than kMaxHostTurns words of frequencies in host memory
  kAlignment = 8,      // an address that is not a multiple of its element's size
  kEnumeration = 9,    // a Dtype, Pairing or Integer that does not exist
  kNoCudaBuild = 100,  // this library was built without CUDA
  kCudaError = 1000,
};

// One English clause, without a full stop; beyond kCudaError the CUDA runtime's. Static storage.
const char* status_text(Status status) noexcept;

// CUDA's name for a status beyond kCudaError, as in "cudaErrorInvalidValue"; "" for every other one
// and in a build without CUDA. Static storage.
const char* cuda_error_name(Status status) noexcept;

// Rotates tokens first … last − 1 of the num_batches · num_tokens tokens, counted batch by batch,
// on the calling thread. Slices that do not overlap may run at the same time.
Status run_cpu(const Params& params, int64_t first, int64_t last) noexcept;
Status run_cpu(const Params& params) noexcept;

// Enqueues the rotation on stream (a cudaStream_t; nullptr: the default stream) of the current
// device. Pointers are device memory, except frequencies with on_host, whose strides are then not
// negative. Never synchronises; may be captured into a graph, a process's first call too. Where the
// loaded code is for sm_90 or newer, the kernel may be a programmatic dependent launch: it starts
// while earlier work of the stream still runs, and reads nothing before that is done. A status
// beyond kCudaError is this call's, or that of a kernel which ran earlier: CUDA tells whoever calls
// next. The last error (cudaGetLastError) of the caller's CUDA runtime is neither read nor changed.
// All of this holds for launch_table_cuda and launch_turns_cuda too.
Status launch_cuda(const Params& params, void* stream) noexcept;

// A cached table: row r holds the cosines, then the sines of position start + r (mod 2^64).
struct TableParams {
  uint64_t size = sizeof(TableParams);
  const uint64_t* turns = nullptr;  // num_pairs words; launch_table_cuda: device memory
  int32_t num_pairs = 0;            // 1 … kMaxRotaryDim / 2
  int64_t num_rows = 0;
  int64_t start = 0;
  bool may_be_invalid = false;  // as in Frequencies
  float attention_factor = 1.0f;
  float* out = nullptr;  // (num_rows, 2 · num_pairs), without gaps
};

Status fill_table_cpu(const TableParams& params, int64_t first, int64_t last) noexcept;
Status launch_table_cuda(const TableParams& params, void* stream) noexcept;

// round(f / 2π · 2^64) mod 2^64 for frequencies f in radians per position, taken as exact;
// kInvalidTurns for those that are NaN or infinite, and for no other: no float64 comes nearer to an
// odd number of half turns than 6381956970095103 · 2^798, and that is 2.7 · 2^-64 turns away.
uint64_t turns_from_frequency(double inv_freq) noexcept;
Status launch_turns_cuda(const float* inv_freq, int64_t count, uint64_t* turns,
                         void* stream) noexcept;
Status launch_turns_cuda(const double* inv_freq, int64_t count, uint64_t* turns,
                         void* stream) noexcept;

}  // namespace rope
