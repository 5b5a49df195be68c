// The grid executor: every thread of a plan's launches on the CPU, one after another in shuffled
// order, with surplus threads and blocks on every axis that must find nothing to do.
// A Memory policy here is one of kernels/memory.h that is also told which thread runs next:
//   void begin(const Coordinate&)
// What the GPU indexes is thus run by a test; launcher, PTX and nvcc stay with the tests on a GPU.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include <rope/params.h>

#include "dispatch.h"
#include "plan.h"
#include "scalar.h"
#include "thread.h"

namespace rope::test {

struct Surplus {
  uint32_t lanes = 1;   // threads more in x
  uint32_t blocks = 1;  // blocks more in x, y and z
};

// In place of a seed: in order, so that the threads of a warp follow one another.
constexpr uint64_t kInOrder = 0;

// The coordinate of thread number `index` of a grid.
inline Coordinate coordinate_of(uint64_t index, const Extent3& block_size, const Extent3& grid) {
  const auto next = [&](uint32_t extent) {
    const auto digit = static_cast<uint32_t>(index % extent);
    index /= extent;
    return digit;
  };
  Coordinate at;
  at.block_size = block_size;
  at.thread.x = next(block_size.x);
  at.thread.y = next(block_size.y);
  at.thread.z = next(block_size.z);
  at.block.x = next(grid.x);
  at.block.y = next(grid.y);
  at.block.z = next(grid.z);
  return at;
}

// Without a generator, in order.
template <class Scalar, class Memory>
void execute_launch(const Params& params, const Plan& plan, const Surplus& surplus, Memory& memory,
                    std::mt19937_64* random) {
  const Extent3 block_size = {plan.block[0] + surplus.lanes, plan.block[1], plan.block[2]};
  const Extent3 grid = {plan.grid[0] + surplus.blocks, plan.grid[1] + surplus.blocks,
                        plan.grid[2] + surplus.blocks};
  const uint64_t threads =
      uint64_t{block_size.x} * block_size.y * block_size.z * grid.x * grid.y * grid.z;
  std::vector<uint32_t> order(threads);
  std::iota(order.begin(), order.end(), 0u);
  if (random != nullptr) std::shuffle(order.begin(), order.end(), *random);
  dispatch<Scalar>(params, plan, [&](auto variant) {
    using Kernel = decltype(variant);
    for (const uint32_t index : order) {
      const Coordinate at = coordinate_of(index, block_size, grid);
      memory.begin(at);
      rotate_thread<Scalar, typename Kernel::Pairs, Kernel::kBytes, Kernel::kHeads,
                    Kernel::kSource>(params, plan, at, memory);
    }
  });
}

template <class Scalar, class Memory>
void execute_as(const Params& params, const std::vector<Plan>& launches, const Surplus& surplus,
                Memory& memory, uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  for (const Plan& plan : launches) {
    execute_launch<Scalar>(params, plan, surplus, memory, seed == kInOrder ? nullptr : &random);
  }
}

template <class Memory>
void execute(const Params& params, const std::vector<Plan>& launches, const Surplus& surplus,
             Memory& memory, uint64_t seed = 1) {
  switch (params.dtype) {
    case Dtype::kFloat16:
      return execute_as<Half>(params, launches, surplus, memory, seed);
    case Dtype::kBFloat16:
      return execute_as<BFloat16>(params, launches, surplus, memory, seed);
    default:
      return execute_as<float>(params, launches, surplus, memory, seed);
  }
}

}  // namespace rope::test
