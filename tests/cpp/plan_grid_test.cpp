// The planner's grids (kernels/plan.h): within CUDA's limits, covering every token, head and batch
// exactly once over all launches, whatever the extents; and the merging of batches.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fake_params.h"
#include "plan.h"

namespace rope {
namespace {

using test::fake_address;
using test::fake_params;
using test::FakeShape;

// CUDA C++ Programming Guide, compute capabilities 5.0 and above.
constexpr uint32_t kMostThreads = 1024;
constexpr uint32_t kMostBlockZ = 64;
constexpr uint64_t kMostGridX = 0x7fffffff;
constexpr uint64_t kMostGridYZ = 65535;

constexpr DeviceFacts kMachine = {10, 100, 90};

struct Extents {
  const char* name;
  FakeShape shape;
  size_t launches;
};

constexpr int64_t kBillion = 1000000000;

const Extents kExtents[] = {
    {"OneToken", {1, 1, 1, 0}, 1},
    {"Prefill", {2, 4096, 32, 8}, 1},
    {"Decode", {256, 1, 32, 8}, 1},
    {"WideLanes", {2, 300, 3, 0, 1024, Dtype::kFloat32}, 1},
    {"ManyNarrowLanes", {2, 300, 3, 0, 1022}, 1},
    {"OneLane", {2, 300, 3, 0, 2}, 1},
    {"OddTokens", {3, 67, 7, 0}, 1},
    {"MostBatchesOfAGrid", {65535, 2, 1, 0}, 1},
    {"Batches65536", {65536, 2, 1, 0}, 2},
    {"Batches70000", {70000, 2, 1, 0}, 2},
    {"Batches200000", {200000, 2, 1, 0}, 4},
    {"Tokens2To31", {1, int64_t{1} << 31, 1, 0}, 1},
    {"Tokens2To31OfWideHeads", {1, int64_t{1} << 31, 1, 0, 1022}, 2},
    {"Tokens5BillionOfWideHeads", {1, 5 * kBillion, 1, 0, 1022}, 3},
    {"Tokens2To40", {1, int64_t{1} << 40, 1, 0}, 17},
    {"ManyHeads", {1, 3, 1000001, 0, 1024, Dtype::kFloat32}, 16},
    {"ManyHeadsAndBatches", {70000, 2, 700001, 0, 1024, Dtype::kFloat32}, 4},
};

struct Box {
  Range tokens, chunks, batches;
};

__int128 volume(const Box& box) {
  return static_cast<__int128>(box.tokens.end - box.tokens.first) *
         (box.chunks.end - box.chunks.first) * (box.batches.end - box.batches.first);
}

bool disjoint(const Range& a, const Range& b) {
  return a.end <= b.first || b.end <= a.first;
}

bool disjoint(const Box& a, const Box& b) {
  return disjoint(a.tokens, b.tokens) || disjoint(a.chunks, b.chunks) ||
         disjoint(a.batches, b.batches);
}

std::vector<Plan> launches_of(const Params& params) {
  std::vector<Plan> launches;
  Plan plan = make_plan(params, kMachine);
  do {
    launches.push_back(plan);
  } while (launches.size() < 1000 && next_launch(params, plan));
  return launches;
}

class Grids : public testing::TestWithParam<Extents> {
 protected:
  const Params params = fake_params(GetParam().shape);
  const std::vector<Plan> launches = launches_of(params);
};

TEST_P(Grids, AreWithinTheLimits) {
  for (const Plan& plan : launches) {
    EXPECT_LE(plan.block[0] * plan.block[1] * plan.block[2], kMostThreads);
    EXPECT_LE(plan.block[2], kMostBlockZ);
    EXPECT_GE(plan.grid[0], 1u);
    EXPECT_GE(plan.grid[1], 1u);
    EXPECT_GE(plan.grid[2], 1u);
    EXPECT_LE(plan.grid[0], kMostGridX);
    EXPECT_LE(plan.grid[1], kMostGridYZ);
    EXPECT_LE(plan.grid[2], kMostGridYZ);
  }
}

// A kernel of 16-byte accesses promises the compiler blocks of at most 256 threads.
TEST_P(Grids, AreWithinTheKernelsBound) {
  for (const Plan& plan : launches) {
    const uint32_t most = plan.vector_bytes == 16 ? 256 : kMaxRotaryDim / 2;
    EXPECT_LE(plan.block[0] * plan.block[1] * plan.block[2], most);
  }
}

TEST_P(Grids, HaveALaneForEveryVector) {
  const Plan& plan = launches.front();
  const int32_t size = params.dtype == Dtype::kFloat32 ? 4 : 2;
  EXPECT_EQ(plan.lanes * plan.vector_bytes, params.rotary_dim / 2 * size);
  EXPECT_EQ(plan.block[0], static_cast<uint32_t>(plan.lanes));
}

TEST_P(Grids, ReachTheirRangesWithoutAnIdleBlock) {
  for (const Plan& plan : launches) {
    const auto tight = [](const Range& range, uint32_t blocks, uint32_t per_block) {
      const int64_t reach = static_cast<int64_t>(blocks) * per_block;
      const int64_t count = range.end - range.first;
      return reach >= count && reach - per_block < count;
    };
    EXPECT_TRUE(tight(plan.tokens, plan.grid[0], plan.block[2]));
    EXPECT_TRUE(tight(plan.chunks, plan.grid[1], plan.block[1]));
    EXPECT_TRUE(tight(plan.batches, plan.grid[2], 1));
  }
}

TEST_P(Grids, CoverEverythingOnce) {
  EXPECT_EQ(launches.size(), GetParam().launches);
  const Box everything = {
      {0, params.num_tokens}, {0, launches.front().head_chunks}, {0, params.num_batches}};
  std::vector<Box> boxes;
  __int128 covered = 0;
  for (const Plan& plan : launches) {
    const Box box = {plan.tokens, plan.chunks, plan.batches};
    for (const Box& earlier : boxes) ASSERT_TRUE(disjoint(box, earlier));
    EXPECT_GE(box.tokens.first, 0);
    EXPECT_LE(box.tokens.end, everything.tokens.end);
    EXPECT_LE(box.chunks.end, everything.chunks.end);
    EXPECT_LE(box.batches.end, everything.batches.end);
    boxes.push_back(box);
    covered += volume(box);
  }
  EXPECT_TRUE(covered == volume(everything));
}

std::string extents_name(const testing::TestParamInfo<Extents>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Of, Grids, testing::ValuesIn(kExtents), extents_name);

class NothingToLaunch : public testing::TestWithParam<Extents> {};

TEST_P(NothingToLaunch, HasAnEmptyGrid) {
  const Params params = fake_params(GetParam().shape);
  Plan plan = make_plan(params, kMachine);
  EXPECT_TRUE(is_empty(params));
  EXPECT_EQ(plan.grid[0], 0u);
  EXPECT_EQ(plan.grid[1], 0u);
  EXPECT_EQ(plan.grid[2], 0u);
  EXPECT_FALSE(next_launch(params, plan));
}

INSTANTIATE_TEST_SUITE_P(Of, NothingToLaunch,
                         testing::Values(Extents{"NoBatches", {0, 5, 8, 2}, 0},
                                         Extents{"NoTokens", {2, 0, 8, 2}, 0},
                                         Extents{"NoHeads", {2, 5, 0, 0}, 0}),
                         extents_name);

// ---- a batch of single tokens is one batch of many tokens

Params decode_params() {
  Params params = fake_params({300, 1, 8, 2});
  params.axes[0] = {fake_address(0x50000), Integer::kInt64, 7, 3, true};
  return params;
}

TEST(MergeBatchesTest, TurnsBatchesIntoTokens) {
  Params params = decode_params();
  params.q.in_stride = {11, 13, 17};
  params.k.out_stride = {19, 23, 29};
  const Params merged = merge_batches(params);
  EXPECT_EQ(merged.num_batches, 1);
  EXPECT_EQ(merged.num_tokens, 300);
  EXPECT_EQ(merged.q.in_stride.token, 11);
  EXPECT_EQ(merged.q.in_stride.head, 17);
  EXPECT_EQ(merged.k.out_stride.token, 19);
  EXPECT_EQ(merged.axes[0].stride_token, 7);
  EXPECT_TRUE(merged.axes[0].skip_negative);
}

TEST(MergeBatchesTest, TurnsRowsOfBatchesIntoRowsOfTokens) {
  Params params = decode_params();
  params.table.cos = params.table.sin = fake_address(0x40000);
  params.table.per_token = true;
  params.table.stride = {31, 37, 41};
  const Params merged = merge_batches(params);
  EXPECT_EQ(merged.table.stride.token, 31);
  EXPECT_EQ(merged.table.stride.head, 41);
}

TEST(MergeBatchesTest, LeavesRowsOfPositions) {
  Params params = decode_params();
  params.table.cos = params.table.sin = fake_address(0x40000);
  params.table.stride = {0, 128, 0};
  EXPECT_EQ(merge_batches(params).table.stride.token, 128);
}

TEST(MergeBatchesTest, LeavesBatchesOfManyTokens) {
  Params params = decode_params();
  params.num_tokens = 2;
  EXPECT_EQ(merge_batches(params).num_batches, 300);
}

TEST(MergeBatchesTest, LeavesCountedPositions) {
  Params params = decode_params();
  params.num_axes = 2;  // the second one is counted: 0 in every batch
  EXPECT_EQ(merge_batches(params).num_batches, 300);
}

TEST(MergeBatchesTest, LeavesOffsetsOfBatches) {
  Params params = decode_params();
  params.offsets.data = fake_address(0x60000);
  EXPECT_EQ(merge_batches(params).num_batches, 300);
}

}  // namespace
}  // namespace rope
