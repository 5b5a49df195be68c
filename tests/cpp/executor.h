// The grid executor: every thread of a plan's launches on the CPU, one after another in shuffled
// order, with surplus threads and blocks on every axis that must find nothing to do.
// What the GPU indexes is thus run by a test; launcher, PTX and nvcc stay with the tests on a GPU.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
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

// The launches of a call, in order, as launch_cuda plans them.
inline std::vector<Plan> launches_of(const Params& params, const DeviceFacts& facts) {
  std::vector<Plan> launches;
  if (is_empty(params)) return launches;
  Plan plan = make_plan(params, facts);
  do {
    launches.push_back(plan);
  } while (next_launch(params, plan));
  return launches;
}

// Each launch as up to eight smaller ones: what only huge calls need, on a small one.
inline std::vector<Plan> split_launches(const std::vector<Plan>& launches) {
  std::vector<Plan> parts = launches;
  const auto split = [&](Range Plan::*range, int grid_axis, int block_axis) {
    std::vector<Plan> halves;
    for (const Plan& plan : parts) {
      const Range whole = plan.*range;
      const int64_t middle = whole.first + (whole.end - whole.first + 1) / 2;
      for (const Range& half : {Range{whole.first, middle}, Range{middle, whole.end}}) {
        if (half.first == half.end) continue;
        Plan part = plan;
        part.*range = half;
        const int64_t per_block = block_axis < 0 ? 1 : plan.block[block_axis];
        part.grid[grid_axis] =
            static_cast<uint32_t>((half.end - half.first + per_block - 1) / per_block);
        halves.push_back(part);
      }
    }
    parts = halves;
  };
  split(&Plan::tokens, 0, 2);
  split(&Plan::chunks, 1, 1);
  split(&Plan::batches, 2, -1);
  return parts;
}

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

// Memory policies here have a Checker, which is told the thread that runs.
template <class Scalar, class Memory>
void execute_launch(const Params& params, const Plan& plan, const Surplus& surplus, Memory& memory,
                    std::mt19937_64& random) {
  const Extent3 block_size = {plan.block[0] + surplus.lanes, plan.block[1], plan.block[2]};
  const Extent3 grid = {plan.grid[0] + surplus.blocks, plan.grid[1] + surplus.blocks,
                        plan.grid[2] + surplus.blocks};
  const uint64_t threads =
      uint64_t{block_size.x} * block_size.y * block_size.z * grid.x * grid.y * grid.z;
  std::vector<uint32_t> order(threads);
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), random);
  dispatch<Scalar>(params, plan, [&](auto variant) {
    using Kernel = decltype(variant);
    for (const uint32_t index : order) {
      const Coordinate at = coordinate_of(index, block_size, grid);
      memory.checker->thread = at;
      rotate_thread<Scalar, typename Kernel::Pairs, Kernel::kBytes, Kernel::kHeads,
                    Kernel::kSource>(params, plan, at, memory);
    }
  });
}

template <class Memory>
void execute(const Params& params, const std::vector<Plan>& launches, Memory& memory,
             const Surplus& surplus = {}, uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  for (const Plan& plan : launches) {
    switch (params.dtype) {
      case Dtype::kFloat16:
        execute_launch<Half>(params, plan, surplus, memory, random);
        break;
      case Dtype::kBFloat16:
        execute_launch<BFloat16>(params, plan, surplus, memory, random);
        break;
      default:
        execute_launch<float>(params, plan, surplus, memory, random);
    }
  }
}

}  // namespace rope::test
