// What a call would run: for module.cpp and tests.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include <rope/rope.h>

#include "../kernels/plan.h"
#include "build_info.h"

namespace rope::glue {

// What one thread does at a time, and how many threads a launch has.
struct Work {
  int32_t vector_bytes = 0;      // of one memory access, on the CPU of one register
  int64_t heads_per_thread = 0;  // that share the angles a thread has made
  // Of the launch, x first; nothing on the CPU.
  std::optional<std::array<uint32_t, 3>> grid;
  std::optional<std::array<uint32_t, 3>> block;
};

struct Explanation {
  std::string backend;       // the device's type: "cpu", "cuda"
  std::optional<Work> work;  // nothing for devices without memory, and where there is an error
  int64_t bytes = 0;         // rotated components read and written, positions and table rows read
  bool is_table = false;     // the angles come from cos_sin
  std::optional<std::string> error;  // what rope::apply would raise
};

// rope::apply with these arguments. Runs and writes nothing; facts count for CUDA tensors alone.
Explanation explain(const at::Tensor& q, const std::optional<at::Tensor>& k,
                    const std::optional<at::Tensor>& pos, const Options& options,
                    const DeviceFacts& facts);

}  // namespace rope::glue
