// The kernels that make tables and turns against the CPU: the same bits.
#include <cuda_runtime_api.h>

#include <rope/kernels.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "on_gpu.h"

namespace rope::test {
namespace {

class CudaTable : public OnGpu,
                  public testing::WithParamInterface<std::tuple<int32_t, int64_t, int64_t>> {};

// In one of these pairs the frequency was no number.
std::vector<uint64_t> random_turns(int32_t num_pairs) {
  std::mt19937_64 random(static_cast<uint64_t>(num_pairs));
  std::vector<uint64_t> turns;
  for (int32_t i = 0; i < num_pairs; ++i) turns.push_back(random());
  turns.back() = kInvalidTurns;
  return turns;
}

TEST_P(CudaTable, HasTheBitsOfTheCpu) {
  const auto& [num_pairs, num_rows, start] = GetParam();
  const std::vector<uint64_t> turns = random_turns(num_pairs);
  std::vector<float> expected(static_cast<size_t>(2 * num_rows * num_pairs));
  TableParams params;
  params.turns = turns.data();
  params.num_pairs = num_pairs;
  params.num_rows = num_rows;
  params.start = start;
  params.may_be_invalid = true;
  params.attention_factor = 1.2079441f;
  params.out = expected.data();
  ASSERT_EQ(fill_table_cpu(params, 0, num_rows), Status::kSuccess);

  const DeviceMemoryBlock device_turns(turns.size() * sizeof(uint64_t));
  const DeviceMemoryBlock device_out(expected.size() * sizeof(float));
  device_turns.upload(turns.data());
  params.turns = reinterpret_cast<const uint64_t*>(device_turns.data());
  params.out = reinterpret_cast<float*>(device_out.data());
  const Status status = launch_table_cuda(params, nullptr);
  ASSERT_EQ(status, Status::kSuccess) << status_text(status);
  ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
  std::vector<float> got(expected.size());
  device_out.download(got.data());
  EXPECT_TRUE(device_out.guards_are_intact());
  EXPECT_EQ(std::memcmp(got.data(), expected.data(), device_out.size()), 0);
}

std::string table_name(const testing::TestParamInfo<CudaTable::ParamType>& info) {
  const auto& [num_pairs, num_rows, start] = info.param;
  const std::string sign = start < 0 ? "minus" : "";
  return "p" + std::to_string(num_pairs) + "_rows" + std::to_string(num_rows) + "_from" + sign +
         std::to_string(std::abs(start));
}

INSTANTIATE_TEST_SUITE_P(Of, CudaTable,
                         testing::Combine(testing::Values(1, 3, 32, 64, 257, 512),
                                          testing::Values<int64_t>(1, 7, 1000),
                                          testing::Values<int64_t>(0, -100, int64_t{1} << 40)),
                         table_name);

// NaN and infinities first; then any bits.
template <class Real>
std::vector<Real> frequencies() {
  using Limits = std::numeric_limits<Real>;
  std::vector<Real> values = {
      Limits::quiet_NaN(),  Limits::infinity(), -Limits::infinity(), Real(0),
      Limits::denorm_min(), -Limits::min(),     Limits::max(),       Real(1),
      Real(-1e-4)};
  std::mt19937_64 random(10);
  while (values.size() < 100000) {
    const uint64_t bits = random();
    Real value;
    std::memcpy(&value, &bits, sizeof(value));
    values.push_back(value);
  }
  return values;
}

template <class Real>
class CudaTurns : public OnGpu {};

using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(CudaTurns, Reals);

TYPED_TEST(CudaTurns, HaveTheBitsOfTheCpu) {
  const std::vector<TypeParam> values = frequencies<TypeParam>();
  const DeviceMemoryBlock device_values(values.size() * sizeof(TypeParam));
  const DeviceMemoryBlock device_turns(values.size() * sizeof(uint64_t));
  device_values.upload(values.data());
  const Status status = launch_turns_cuda(
      reinterpret_cast<const TypeParam*>(device_values.data()), static_cast<int64_t>(values.size()),
      reinterpret_cast<uint64_t*>(device_turns.data()), nullptr);
  ASSERT_EQ(status, Status::kSuccess) << status_text(status);
  ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
  std::vector<uint64_t> got(values.size());
  device_turns.download(got.data());
  EXPECT_TRUE(device_turns.guards_are_intact());
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(got[i], turns_from_frequency(values[i])) << std::hexfloat << values[i];
  }
}

}  // namespace
}  // namespace rope::test
