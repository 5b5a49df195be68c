// The planner (kernels/plan.h): which calls the kernels of common ones serve, and which launches
// may overlap with the kernel before them.
#include "plan.h"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "fake_params.h"

namespace rope {
namespace {

using test::fake_address;
using test::fake_params;
using test::FakeShape;

constexpr DeviceFacts kMachine = {10, 100, 90};
constexpr DeviceFacts kWideMachine = {10, 100, 100};

// ---- the kernel: for common calls, or for all

struct Uncommon {
  const char* name;
  void (*make)(Params& params);
};

void use_table(Params& params) {
  params.table.cos = fake_address(0x40000);
  params.table.sin = fake_address(0x40100);
  params.table.stride.token = 128;
}

const Uncommon kUncommon[] = {
    {"TwoAxes", [](Params& p) { p.num_axes = 2; }},
    {"Sequences", [](Params& p) { p.num_sequences = 1; }},
    {"FrequenciesOfEachHead", [](Params& p) { p.frequencies.stride_head = 64; }},
    {"FrequenciesThatMayBeNaN", [](Params& p) { p.frequencies.may_be_invalid = true; }},
    {"MisalignedTurnsOnTheDevice",
     [](Params& p) {
       p.frequencies.on_host = false;
       p.frequencies.turns = fake_address<uint64_t>(0x30008);
     }},
    {"TooManyTurnsOnTheHost", [](Params& p) { p.rotary_dim = 260; }},
    {"TableOfEachHead",
     [](Params& p) {
       use_table(p);
       p.table.stride.head = 64;
     }},
    {"SixteenBitTable",
     [](Params& p) {
       use_table(p);
       p.table.dtype = Dtype::kBFloat16;
     }},
    {"StridedTable",
     [](Params& p) {
       use_table(p);
       p.table.stride_pair = 2;
     }},
    {"MisalignedCos",
     [](Params& p) {
       use_table(p);
       p.table.cos = fake_address(0x40008);
     }},
    {"MisalignedSin",
     [](Params& p) {
       use_table(p);
       p.table.sin = fake_address(0x40104);
     }},
    {"MisalignedRows",
     [](Params& p) {
       use_table(p);
       p.table.stride.token = 130;
     }},
    {"MisalignedBatchesOfRows",
     [](Params& p) {
       use_table(p);
       p.table.per_token = true;
       p.num_batches = 2;
       p.table.stride.batch = 2;
     }},
    {"FarHeads", [](Params& p) { p.q.in_stride.head = int64_t{1} << 30; }},
    {"FarHeadsOfNoTensor",
     [](Params& p) {
       p.k.num_heads = 0;
       p.k.in_stride.head = int64_t{1} << 40;
     }},
    {"FarHeadsBackwards", [](Params& p) { p.q.out_stride.head = -(int64_t{1} << 30); }},
    {"ManyTokens", [](Params& p) { p.num_tokens = int64_t{1} << 31; }},
    {"ManyBatches", [](Params& p) { p.num_batches = int64_t{1} << 31; }},
    {"ManyHeads",
     [](Params& p) {
       p.q.num_heads = int64_t{1} << 31;
       p.q.in_stride.head = p.q.out_stride.head = 0;
     }},
};

class UncommonCall : public testing::TestWithParam<Uncommon> {};

TEST_P(UncommonCall, GetsTheGeneralKernel) {
  Params params = fake_params({1, 128, 8, 2});
  ASSERT_TRUE(is_common(params));
  GetParam().make(params);
  EXPECT_FALSE(is_common(params));
  EXPECT_EQ(make_plan(params, kMachine).source, Source::kGeneral);
  EXPECT_LE(make_plan(params, kWideMachine).vector_bytes, 16);
}

std::string uncommon_name(const testing::TestParamInfo<Uncommon>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(With, UncommonCall, testing::ValuesIn(kUncommon), uncommon_name);

TEST(SourceTest, OfACommonCallIsItsTableOrItsFrequencies) {
  Params params = fake_params({});
  EXPECT_EQ(make_plan(params, kMachine).source, Source::kComputed);
  use_table(params);
  EXPECT_EQ(make_plan(params, kMachine).source, Source::kTable);
  params.frequencies.turns = nullptr;  // a foreign table
  EXPECT_EQ(make_plan(params, kMachine).source, Source::kTable);
  params.table.per_token = true;
  EXPECT_EQ(make_plan(params, kMachine).source, Source::kTable);
}

TEST(SourceTest, OfNarrowVectorsIsGeneral) {
  const FakeShape narrow = {1, 128, 8, 0, 24};
  EXPECT_TRUE(is_common(fake_params(narrow)));
  EXPECT_EQ(make_plan(fake_params(narrow), kMachine).source, Source::kGeneral);
}

// ---- dependent launches: of code that waits by itself, where they show

TEST(DependentLaunchTest, IsForSmallCalls) {
  const DeviceFacts machine = {132, 2048, 90};
  EXPECT_TRUE(make_plan(fake_params({1, 1, 40, 0}), machine).dependent_launch);
  EXPECT_TRUE(make_plan(fake_params({1, 2048, 40, 0}), machine).dependent_launch);
  EXPECT_FALSE(make_plan(fake_params({1, 131072, 40, 0}), machine).dependent_launch);
}

TEST(DependentLaunchTest, IsForCodeOfSm90) {
  EXPECT_FALSE(make_plan(fake_params({1, 1, 40, 0}), {132, 2048, 89}).dependent_launch);
}

}  // namespace
}  // namespace rope
