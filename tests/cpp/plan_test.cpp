// The planner (kernels/plan.h): how wide a thread's accesses are, and how many heads it takes.
// Which kernel and what kind of launch: plan_kernel_test.cpp; what the grids cover:
// plan_grid_test.cpp.
#include "plan.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <tuple>

#include <gtest/gtest.h>

#include "fake_params.h"

namespace rope {
namespace {

using test::fake_address;
using test::fake_params;
using test::FakeShape;

// ---- the width: the largest power of two, up to 16 bytes, that divides everything

struct HalfWidth {
  int32_t rotary_dim;
  int32_t sixteen_bit;  // bytes
  int32_t thirty_two_bit;
};

class WidthByRotaryDim : public testing::TestWithParam<HalfWidth> {};

std::string width_name(const testing::TestParamInfo<HalfWidth>& info) {
  return "r" + std::to_string(info.param.rotary_dim);
}

TEST_P(WidthByRotaryDim, DividesHalfOfIt) {
  FakeShape shape;
  shape.rotary_dim = GetParam().rotary_dim;
  // Strides of 256 elements leave the rotated half to decide.
  const auto width_of = [&](Dtype dtype) {
    shape.dtype = dtype;
    Params params = fake_params(shape);
    for (Strides* stride : {&params.q.in_stride, &params.q.out_stride}) *stride = {4096, 2048, 256};
    return vector_bytes_of(params, 16);
  };
  EXPECT_EQ(width_of(Dtype::kFloat16), GetParam().sixteen_bit);
  EXPECT_EQ(width_of(Dtype::kBFloat16), GetParam().sixteen_bit);
  EXPECT_EQ(width_of(Dtype::kFloat32), GetParam().thirty_two_bit);
}

INSTANTIATE_TEST_SUITE_P(Of, WidthByRotaryDim,
                         testing::Values(HalfWidth{2, 2, 4}, HalfWidth{4, 4, 8}, HalfWidth{6, 2, 4},
                                         HalfWidth{8, 8, 16}, HalfWidth{20, 4, 8},
                                         HalfWidth{24, 8, 16}, HalfWidth{50, 2, 4},
                                         HalfWidth{64, 16, 16}, HalfWidth{80, 16, 16},
                                         HalfWidth{96, 16, 16}, HalfWidth{128, 16, 16},
                                         HalfWidth{1022, 2, 4}, HalfWidth{1024, 16, 16}),
                         width_name);

// One thing at a time is off by some bytes; its lowest set bit is the width.
struct Spoiler {
  const char* name;
  void (*spoil)(Params& params, int32_t bytes);
};

int64_t elements(const Params& params, int32_t bytes) {
  return bytes / (params.dtype == Dtype::kFloat32 ? 4 : 2);
}

const Spoiler kSpoilers[] = {
    {"QIn", [](Params& p, int32_t bytes) { p.q.in = fake_address(0x10000u + bytes); }},
    {"QOut", [](Params& p, int32_t bytes) { p.q.out = fake_address(0x10000u + bytes); }},
    {"KIn", [](Params& p, int32_t bytes) { p.k.in = fake_address(0x20000u + bytes); }},
    {"KOut", [](Params& p, int32_t bytes) { p.k.out = fake_address(0x20000u + bytes); }},
    {"QInHead", [](Params& p, int32_t bytes) { p.q.in_stride.head += elements(p, bytes); }},
    {"QOutHead", [](Params& p, int32_t bytes) { p.q.out_stride.head -= elements(p, bytes); }},
    {"KInHead", [](Params& p, int32_t bytes) { p.k.in_stride.head += elements(p, bytes); }},
    {"KInToken", [](Params& p, int32_t bytes) { p.k.in_stride.token += elements(p, bytes); }},
    {"KOutToken", [](Params& p, int32_t bytes) { p.k.out_stride.token += elements(p, bytes); }},
    {"QInBatch", [](Params& p, int32_t bytes) { p.q.in_stride.batch += elements(p, bytes); }},
    {"QOutBatch", [](Params& p, int32_t bytes) { p.q.out_stride.batch += elements(p, bytes); }},
};

class WidthByAddress : public testing::TestWithParam<std::tuple<Spoiler, Dtype, int32_t>> {};

TEST_P(WidthByAddress, DividesItToo) {
  const auto& [spoiler, dtype, bytes] = GetParam();
  FakeShape shape;
  shape.dtype = dtype;
  shape.batches = 2;
  shape.k_heads = 2;
  Params params = fake_params(shape);
  ASSERT_EQ(vector_bytes_of(params, 16), 16);
  spoiler.spoil(params, bytes);
  EXPECT_EQ(vector_bytes_of(params, 16), std::min(bytes & -bytes, 16));
}

std::string spoiler_name(const testing::TestParamInfo<std::tuple<Spoiler, Dtype, int32_t>>& info) {
  const auto& [spoiler, dtype, bytes] = info.param;
  return std::string(spoiler.name) + (dtype == Dtype::kFloat32 ? "F32" : "BF16") + "Off" +
         std::to_string(bytes);
}

INSTANTIATE_TEST_SUITE_P(Sixteen, WidthByAddress,
                         testing::Combine(testing::ValuesIn(kSpoilers),
                                          testing::Values(Dtype::kBFloat16),
                                          testing::Values(2, 4, 6, 8, 12, 16, 24, 32)),
                         spoiler_name);
INSTANTIATE_TEST_SUITE_P(ThirtyTwo, WidthByAddress,
                         testing::Combine(testing::ValuesIn(kSpoilers),
                                          testing::Values(Dtype::kFloat32),
                                          testing::Values(4, 8, 12, 16, 24, 32)),
                         spoiler_name);

TEST(WidthTest, IgnoresStridesOfExtentsOfOne) {
  FakeShape shape;
  shape.tokens = 1;
  shape.q_heads = 1;
  Params params = fake_params(shape);
  params.q.in_stride = params.q.out_stride = {1, 3, 5};
  EXPECT_EQ(vector_bytes_of(params, 16), 16);
}

TEST(WidthTest, IgnoresATensorWithoutHeads) {
  Params params = fake_params({});
  params.k.in = params.k.out = fake_address(0x20002);
  params.k.in_stride = params.k.out_stride = {1, 1, 1};
  EXPECT_EQ(vector_bytes_of(params, 16), 16);
}

TEST(WidthTest, HasALimit) {
  Params params = fake_params({});
  EXPECT_EQ(vector_bytes_of(params, 32), 32);
  params.q.in_stride.token += 8;  // elements of 2 bytes
  EXPECT_EQ(vector_bytes_of(params, 32), 16);
}

TEST(WidthTest, OfStridesBeyond32BitsCountsTheirLowBits) {
  FakeShape shape;
  shape.batches = 2;
  Params params = fake_params(shape);
  params.q.in_stride.batch = (int64_t{1} << 33) + 4;
  EXPECT_EQ(vector_bytes_of(params, 16), 8);
  params.q.in_stride.batch = int64_t{1} << 62;
  EXPECT_EQ(vector_bytes_of(params, 16), 16);
}

// ---- work per thread: a machine of 1,000 threads, in code without and with 32-byte accesses

constexpr DeviceFacts kMachine = {10, 100, 90};
constexpr DeviceFacts kWideMachine = {10, 100, 100};

struct Regime {
  const char* name;
  FakeShape shape;
  int32_t heads_per_thread;
  int64_t head_chunks;
};

// rotary_dim 128 in bfloat16 makes 8 lanes of 16 bytes a head, so that threads = tokens · 8 ·
// chunks.
const Regime kRegimes[] = {
    {"Decode", {1, 64, 40, 0}, 1, 40},
    {"OneTokenBeyondDecode", {1, 65, 40, 0}, 5, 8},
    {"DecodeInBatches", {64, 1, 40, 0}, 1, 40},
    {"AllAtOnceByOnes", {1, 124, 1, 0}, 1, 1},
    {"AllAtOnceByTwos", {1, 70, 2, 0}, 2, 1},
    {"AllAtOnceByFours", {1, 70, 4, 0}, 4, 1},
    {"AllAtOnceByFives", {1, 70, 5, 0}, 5, 1},
    {"Fives", {1, 1000, 40, 0}, 5, 8},
    {"FoursOfLlama", {1, 1000, 32, 0}, 4, 8},
    {"FivesOfQAndK", {1, 1000, 32, 8}, 5, 8},
    {"Twos", {1, 1000, 6, 0}, 2, 3},
    {"OneIdleSlotOfTen", {1, 1000, 8, 1}, 5, 2},
    {"OneIdleSlotOfEightIsTooMuch", {1, 1000, 7, 0}, 1, 7},
    {"OneHead", {1, 1000, 1, 0}, 1, 1},
    {"NarrowVectors", {1, 1000, 40, 0, 20}, 1, 40},
    {"Float32", {1, 1000, 40, 0, 128, Dtype::kFloat32}, 5, 8},
};

class HeadsPerThread : public testing::TestWithParam<Regime> {};

TEST_P(HeadsPerThread, FollowsTheRegime) {
  const Plan plan = make_plan(fake_params(GetParam().shape), kMachine);
  EXPECT_EQ(plan.heads_per_thread, GetParam().heads_per_thread);
  EXPECT_EQ(plan.head_chunks, GetParam().head_chunks);
  EXPECT_LE(plan.vector_bytes, 16);
}

std::string regime_name(const testing::TestParamInfo<Regime>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Of, HeadsPerThread, testing::ValuesIn(kRegimes), regime_name);

// Registers let a multiprocessor hold 1,024 threads of one head or two, 768 of four, 512 of five;
// 1,000 tokens of 40 heads are 320,000, 160,000, 80,000 and 64,000 of them.
TEST(HeadsPerThreadTest, IsTheFewestForAllThreadsToBeThereAtOnce) {
  const Params params = fake_params({1, 1000, 40, 0});
  const auto heads_on = [&](int32_t multiprocessors) {
    return make_plan(params, {multiprocessors, 2048, 90}).heads_per_thread;
  };
  EXPECT_EQ(heads_on(313), 1);
  EXPECT_EQ(heads_on(312), 2);
  EXPECT_EQ(heads_on(157), 2);
  EXPECT_EQ(heads_on(156), 4);
  EXPECT_EQ(heads_on(105), 4);
  EXPECT_EQ(heads_on(104), 5);
  EXPECT_EQ(heads_on(1), 5);
}

TEST(HeadsPerThreadTest, IsOneForAnglesOfEachHead) {
  Params params = fake_params({1, 1000, 40, 0});
  params.frequencies.stride_head = 64;
  EXPECT_EQ(make_plan(params, kMachine).heads_per_thread, 1);
}

TEST(HeadsPerThreadTest, IsOneForATableOfEachHead) {
  Params params = fake_params({1, 1000, 40, 0});
  params.table.cos = params.table.sin = fake_address(0x40000);
  params.table.stride.head = 64;
  EXPECT_EQ(make_plan(params, kMachine).heads_per_thread, 1);
}

TEST(WideVectorTest, TakeTwoHeadsOrOne) {
  const Plan two = make_plan(fake_params({1, 1000, 40, 0}), kWideMachine);
  EXPECT_EQ(two.vector_bytes, 32);
  EXPECT_EQ(two.heads_per_thread, 2);
  EXPECT_EQ(two.lanes, 4);
  const Plan one = make_plan(fake_params({1, 1000, 3, 0}), kWideMachine);
  EXPECT_EQ(one.vector_bytes, 32);
  EXPECT_EQ(one.heads_per_thread, 1);
}

TEST(WideVectorTest, AreNotForDecode) {
  EXPECT_EQ(make_plan(fake_params({1, 64, 40, 0}), kWideMachine).vector_bytes, 16);
}

TEST(WideVectorTest, AreNotForWhatIsThereAtOnceWithoutThem) {
  EXPECT_EQ(make_plan(fake_params({1, 124, 1, 0}), kWideMachine).vector_bytes, 16);
  EXPECT_EQ(make_plan(fake_params({1, 126, 1, 0}), kWideMachine).vector_bytes, 32);
}

}  // namespace
}  // namespace rope
