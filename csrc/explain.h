// What a call would run: for module.cpp and tests.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rope/rope.h>

#include "../kernels/plan.h"
#include "build_info.h"

namespace rope::glue {

// What one thread does at a time, and how many threads a launch has.
struct Work {
  int32_t vector_bytes = 0;      // of one memory access, on the CPU of one register
  int64_t heads_per_thread = 0;  // that share the angles a thread has made
  // Of the first launch, x first; nothing on the CPU.
  std::optional<std::array<uint32_t, 3>> grid;
  std::optional<std::array<uint32_t, 3>> block;
  // On the device: copies, the conversion of frequencies, the rotation. Nothing on the CPU.
  std::optional<int64_t> launches;
};

// What the extents tell; nothing is known of symbolic ones.
struct Costs {
  std::optional<Work> work;         // nothing where nothing runs: meta tensors
  int64_t bytes = 0;                // rotated components read and written, positions and rows read
  std::vector<const char*> copies;  // arguments whose strides the kernels do not take
};

struct Explanation {
  std::string backend;  // the device's type: "cpu", "cuda"
  std::optional<Costs> costs;
  bool is_table = false;  // the angles come from a table
  // Where their turns lie: "base" (made once, kept on the host), "host" (an inv_freq there, read by
  // the call), "device"; nothing for a table alone.
  std::optional<std::string> frequencies;
  std::optional<std::string> error;  // what rope::apply would raise; the rest then means nothing
};

// What a plan depends on.
struct Gpu {
  DeviceFacts facts;
  int32_t architecture = 0;  // 90 for sm_90; 0: unknown, and then not compared with the build's
};

// rope::apply with these arguments. Runs and writes nothing. Tensors without memory are planned as
// if their storage began at a multiple of 64 bytes, as torch's allocators place it. gpu counts for
// CUDA tensors alone.
Explanation explain(const at::Tensor& q, const std::optional<at::Tensor>& k,
                    const std::optional<at::Tensor>& pos, const Options& options, const Gpu& gpu);

}  // namespace rope::glue
