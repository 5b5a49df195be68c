// What a call would run, and what this build is: for module.cpp and tests.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rope/rope.h>

#include "../kernels/plan.h"

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

struct BuildInfo {
  std::string version;
  std::string torch;                       // the version that the library was compiled against
  std::optional<std::string> cuda;         // of the toolkit; nothing in a CPU build
  std::vector<std::string> architectures;  // "sm_90"
  std::optional<std::string> ptx;          // the newest, "compute_120"
};

BuildInfo build_info();

}  // namespace rope::glue
