// Which kernel serves a call, and with which grid: pure arithmetic on Params and device facts.
// For the CUDA launcher, the executor that runs the same grid on a CPU, and explain.
#pragma once

#include <cstdint>

#include <rope/kernels.h>

#include "angles.h"

namespace rope {

// What a plan depends on; read once per device.
struct DeviceFacts {
  int32_t num_multiprocessors = 132;
  int32_t threads_per_multiprocessor = 2048;
};

// first … end − 1 of the tokens of a batch, of the head chunks or of the batches.
struct Range {
  int64_t first = 0;
  int64_t end = 0;
};

struct Plan {
  int32_t vector_bytes = 0;      // 16, 8, 4 or 2: one memory access of a thread
  int32_t heads_per_thread = 0;  // that share their angles in registers; 1 below 16 bytes
  Source source = Source::kComputed;
  int32_t lanes = 0;        // threads that share a head, each with two vectors
  int64_t head_chunks = 0;  // a thread takes heads chunk, chunk + head_chunks, …
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

// The widest access that divides every address, stride and the rotated half.
int32_t vector_bytes_of(const Params& params) noexcept;

// The plan of the first launch.
Plan make_plan(const Params& params, const DeviceFacts& facts) noexcept;

// Turns the plan into that of the next launch; false after the last.
bool next_launch(const Params& params, Plan& plan) noexcept;

}  // namespace rope
