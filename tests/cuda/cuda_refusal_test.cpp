// What the launches answer before they launch anything, and where they cannot: with CUDA in the
// build, but no need of a GPU.
#include <rope/kernels.h>

#include <cstdint>

#include <gtest/gtest.h>

#include "../cpp/fake_params.h"
#include "on_gpu.h"

namespace rope::test {
namespace {

TEST(CudaRefusalTest, OfParamsIsThatOfTheCpu) {
  Params params = fake_params({});
  params.rotary_dim = 63;
  EXPECT_EQ(launch_cuda(params, nullptr), Status::kRotaryDim);
}

TEST(CudaRefusalTest, OfATableIsThatOfTheCpu) {
  TableParams params;
  params.num_pairs = 0;
  EXPECT_EQ(launch_table_cuda(params, nullptr), Status::kRotaryDim);
}

TEST(CudaRefusalTest, OfTurnsNamesTheNullPointer) {
  const double* const nowhere = nullptr;
  EXPECT_EQ(launch_turns_cuda(nowhere, 3, nullptr, nullptr), Status::kNullPointer);
  EXPECT_EQ(launch_turns_cuda(nowhere, -1, nullptr, nullptr), Status::kExtent);
}

TEST(CudaRefusalTest, OfTooManyHostTurns) {
  Params params = fake_params({});
  params.num_axes = 8;
  params.frequencies.stride_axis = 64;  // 8 · 64 words fit
  EXPECT_NE(launch_cuda(params, nullptr), Status::kHostTurns);
  params.frequencies.stride_axis = 65;
  EXPECT_EQ(launch_cuda(params, nullptr), Status::kHostTurns);
}

TEST(CudaRefusalTest, OfTooManyHostTurnsForEachHead) {
  Params params = fake_params({1, 128, 9, 0});
  params.frequencies.stride_head = 64;  // 9 heads
  EXPECT_EQ(launch_cuda(params, nullptr), Status::kHostTurns);
}

TEST(CudaRefusalTest, OfTooManyHostTurnsForTheHeadsOfK) {
  Params params = fake_params({1, 128, 1, 9});
  params.frequencies.stride_head = 64;
  EXPECT_EQ(launch_cuda(params, nullptr), Status::kHostTurns);
}

TEST(CudaNothingTest, NeedsNoGpu) {
  EXPECT_EQ(launch_cuda(fake_params({2, 0, 4, 2}), nullptr), Status::kSuccess);
  TableParams table;
  table.num_pairs = 4;
  EXPECT_EQ(launch_table_cuda(table, nullptr), Status::kSuccess);
  const float* const nowhere = nullptr;
  EXPECT_EQ(launch_turns_cuda(nowhere, 0, nullptr, nullptr), Status::kSuccess);
}

TEST(CudaWithoutGpuTest, SaysWhichErrorTheRuntimeGave) {
  if (why_no_gpu().empty()) GTEST_SKIP() << "there is a GPU";
  uint64_t turns[64] = {};
  Params params = fake_params({});
  params.frequencies.turns = turns;
  const auto status = static_cast<int32_t>(launch_cuda(params, nullptr));
  EXPECT_GT(status, static_cast<int32_t>(Status::kCudaError));
}

}  // namespace
}  // namespace rope::test
