// Which kernel serves a call, and with which grid: pure arithmetic on Params and device facts.
// For the CUDA launcher, the executor that runs the same grid on a CPU, and explain.
#pragma once

#include <cstdint>

#include <rope/kernels.h>

#include "angles.h"

namespace rope {

// What a plan depends on; read once per device. The defaults are an H100's.
struct DeviceFacts {
  int32_t num_multiprocessors = 132;
  int32_t threads_per_multiprocessor = 2048;
  // The architecture that the loaded machine code was compiled for, which may be older than the
  // device: 90 for sm_90.
  int32_t image = 90;
};

// Host words of frequencies that a common call brings along at most: heads of 256.
constexpr int32_t kMaxCommonHostTurns = 128;

// first … end − 1 of the tokens of a batch, of the head chunks or of the batches.
struct Range {
  int64_t first = 0;
  int64_t end = 0;
};

struct Plan {
  int32_t vector_bytes = 0;      // 32, 16, 8, 4 or 2: one memory access of a thread
  int32_t heads_per_thread = 0;  // that share their angles in registers; 1 below 16 bytes
  Source source = Source::kGeneral;
  bool dependent_launch = false;  // may start while the kernel before it still runs
  int32_t lanes = 0;              // threads that share a head, each with two vectors
  int64_t head_chunks = 0;        // a thread takes heads chunk, chunk + head_chunks, …
  // What one launch covers; all of it, unless that exceeds a grid's limits.
  Range tokens;
  Range chunks;
  Range batches;
  // x: lanes, then tokens of a batch; y: head chunks; z: tokens in a block, then batches
  uint32_t block[3] = {1, 1, 1};
  uint32_t grid[3] = {0, 0, 0};  // all 0: there is nothing to launch
};

// Every extent, pointer and enumeration that the index arithmetic relies on.
Status validate(const Params& params) noexcept;
Status validate(const TableParams& params) noexcept;

// True if the call touches no element at all.
bool is_empty(const Params& params) noexcept;

// The same call, with a batch of single tokens read as one batch of many tokens: a block then holds
// several of them, and no grid limit is near.
Params merge_batches(const Params& params) noexcept;

// The widest access, up to a limit, that divides every address, stride and the rotated half.
int32_t vector_bytes_of(const Params& params, int32_t limit) noexcept;

// Whether the kernels of Source::kComputed and kTable may serve the call, in vectors of 16 bytes or
// more: all heads share angles of one axis, from frequencies that are numbers or from a float32
// table whose rows 16-byte reads fit; no cu_seqlens; tokens, heads and batches are fewer than 2^31,
// and 32 bits hold a head's distance in bytes from the first one.
bool is_common(const Params& params) noexcept;

constexpr int32_t kThreadsPerBlock = 256;

// A kernel's width and heads per thread, and the threads of it that registers let a multiprocessor
// hold (docs/machine-code.md).
struct Residence {
  int32_t bytes;
  int32_t heads;
  int32_t threads;
};

// From the least to the most that a thread has in flight. Those of common calls are what
// cuda/kernel.cuh asks the compiler for, without and with accesses of 32 bytes; those of the
// general ones are what it makes of them.
inline constexpr Residence kCommon[] = {{16, 1, 1024}, {16, 2, 1024}, {16, 4, 768}, {16, 5, 512}};
inline constexpr Residence kCommonWide[] = {{16, 1, 1024}, {32, 1, 768}, {32, 2, 512}};
inline constexpr Residence kGeneral[] = {{16, 1, 1024}, {16, 2, 768}, {16, 4, 512}};

// The plan of the first launch.
Plan make_plan(const Params& params, const DeviceFacts& facts) noexcept;

// Turns the plan into that of the next launch; false after the last.
bool next_launch(const Params& params, Plan& plan) noexcept;

}  // namespace rope
