// The CPU's rotation, compiled once for each instruction set and chosen once a process.
// For this folder, the library's entry points and tests that force a choice.
#pragma once

#include <cstdint>

#include <rope/kernels.h>

namespace rope {

struct Backend {
  const char* name;      // "baseline", "x86-64-v3", "x86-64-v4", or "neon" on AArch64
  int32_t vector_bytes;  // of one register
  // Tokens, or table rows, first … last − 1; params are valid.
  void (*rotate)(const Params& params, int64_t first, int64_t last);
  void (*fill_table)(const TableParams& params, int64_t first, int64_t last);
};

// The widest one that this processor has.
const Backend& backend() noexcept;

// Makes backend() return the one of that name from now on, in every thread; nullptr: the widest
// again. False, and no change, where the build or the processor lacks it. For tests.
bool use_backend(const char* name) noexcept;

}  // namespace rope
