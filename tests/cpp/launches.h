// The launches of a call as lists of plans: as the launcher makes them, or cut into more.
// For the executor and the tests on a GPU.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include <rope/params.h>

#include "corpus.h"
#include "plan.h"

namespace rope::test {

// A GPU that a call fills with one thread, or one that no case fills.
inline DeviceFacts facts_of(const Case& spec) {
  DeviceFacts facts;
  if (spec.crowded) facts.num_multiprocessors = facts.threads_per_multiprocessor = 1;
  if (spec.wide) facts.image = 100;
  return facts;
}

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

}  // namespace rope::test
