// Results on the device against the committed hashes of tests/golden: what the CPU, every compiler
// and every earlier version came to.
#include <cuda_runtime_api.h>

#include <rope/kernels.h>

#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "../golden/golden.h"
#include "device_call.h"
#include "on_gpu.h"

namespace rope::test {
namespace {

class CudaGoldenCall : public OnGpu, public testing::WithParamInterface<Case> {};

TEST_P(CudaGoldenCall, HasItsHash) {
  const Call call = make_call(GetParam());
  const DeviceCall on_device(call, TurnsPlace::kDevice);
  const Status status = launch_cuda(on_device.params(), nullptr);
  ASSERT_EQ(status, Status::kSuccess) << status_text(status);
  ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
  on_device.download(call);
  EXPECT_EQ(complaint_about(name_of(content_of(GetParam())), hash_of(call)), "");
}

INSTANTIATE_TEST_SUITE_P(Contents, CudaGoldenCall, testing::ValuesIn(golden_cases()), case_name);
// The narrow vectors, which contents, being aligned, do not need.
INSTANTIATE_TEST_SUITE_P(Kernels, CudaGoldenCall, testing::ValuesIn(kernel_cases()), case_name);

class CudaGoldenTable : public OnGpu, public testing::WithParamInterface<TableCase> {};

TEST_P(CudaGoldenTable, HasItsHash) {
  const std::vector<uint64_t> turns = turns_of_table(GetParam());
  const DeviceMemoryBlock device_turns(turns.size() * sizeof(uint64_t));
  device_turns.upload(turns.data());
  std::vector<float> out(static_cast<size_t>(2 * kTableRows * GetParam().num_pairs));
  const DeviceMemoryBlock device_out(out.size() * sizeof(float));
  TableParams params = table_params(GetParam());
  params.turns = reinterpret_cast<const uint64_t*>(device_turns.data());
  params.out = reinterpret_cast<float*>(device_out.data());
  const Status status = launch_table_cuda(params, nullptr);
  ASSERT_EQ(status, Status::kSuccess) << status_text(status);
  ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
  device_out.download(out.data());
  EXPECT_TRUE(device_out.guards_are_intact());
  EXPECT_EQ(complaint_about(name_of(GetParam()), hash_of(out)), "");
}

std::string table_name(const testing::TestParamInfo<TableCase>& info) {
  return name_of(info.param);
}

INSTANTIATE_TEST_SUITE_P(Of, CudaGoldenTable, testing::ValuesIn(table_cases()), table_name);

class CudaGoldenTurns : public OnGpu {
 protected:
  template <class Number>
  static void expect_hash(const char* name, const std::vector<Number>& frequencies) {
    const DeviceMemoryBlock device_frequencies(frequencies.size() * sizeof(Number));
    device_frequencies.upload(frequencies.data());
    std::vector<uint64_t> turns(frequencies.size());
    const DeviceMemoryBlock device_turns(turns.size() * sizeof(uint64_t));
    const Status status =
        launch_turns_cuda(reinterpret_cast<const Number*>(device_frequencies.data()),
                          static_cast<int64_t>(turns.size()),
                          reinterpret_cast<uint64_t*>(device_turns.data()), nullptr);
    ASSERT_EQ(status, Status::kSuccess) << status_text(status);
    ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
    device_turns.download(turns.data());
    EXPECT_EQ(complaint_about(name, hash_of(turns)), "");
  }
};

TEST_F(CudaGoldenTurns, OfFloat32HaveTheirHash) {
  expect_hash("turns_f32", float32_frequencies());
}

TEST_F(CudaGoldenTurns, OfFloat64HaveTheirHash) {
  expect_hash("turns_f64", float64_frequencies());
}

}  // namespace
}  // namespace rope::test
