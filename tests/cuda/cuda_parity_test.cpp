// The CUDA kernels against the CPU backend on the whole corpus: the same bits in every byte. Once
// through launch_cuda, and once through each plan that the executor runs, launched part by part.
#include <cuda_runtime_api.h>

#include <rope/kernels.h>

#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "../cpp/call.h"
#include "../cpp/launches.h"
#include "cuda/arguments.h"
#include "device_call.h"
#include "on_gpu.h"
#include "scalar.h"

namespace rope::test {
namespace {

int64_t words_of(const Call& call) {
  for (const Block& block : call.blocks) {
    if (block.name() == "turns") return static_cast<int64_t>(block.size() / sizeof(uint64_t));
  }
  return 0;
}

class CudaParity : public OnGpu, public testing::WithParamInterface<Case> {
 protected:
  static void expect_same(const DeviceCall& on_device) {
    ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
    Call expected = make_call(GetParam());
    ASSERT_EQ(run_cpu(expected.params), Status::kSuccess);
    const Call got = make_call(GetParam());
    on_device.download(got);
    EXPECT_EQ(first_difference(expected, got), "");
  }
};

TEST_P(CudaParity, WithTurnsOnTheHost) {
  const Call call = make_call(GetParam());
  const DeviceCall on_device(call, TurnsPlace::kHost);
  const Status status = launch_cuda(on_device.params(), nullptr);
  if (words_of(call) > kMaxHostTurns) {
    EXPECT_EQ(status, Status::kHostTurns);
  } else {
    ASSERT_EQ(status, Status::kSuccess) << status_text(status);
    expect_same(on_device);
  }
}

TEST_P(CudaParity, WithTurnsOnTheDevice) {
  const Call call = make_call(GetParam());
  const DeviceCall on_device(call, TurnsPlace::kDevice);
  const Status status = launch_cuda(on_device.params(), nullptr);
  ASSERT_EQ(status, Status::kSuccess) << status_text(status);
  expect_same(on_device);
}

cudaError_t launch(const Arguments& arguments) {
  switch (arguments.params.dtype) {
    case Dtype::kFloat16:
      return launch_rotation<Half>(arguments, nullptr);
    case Dtype::kBFloat16:
      return launch_rotation<BFloat16>(arguments, nullptr);
    default:
      return launch_rotation<float>(arguments, nullptr);
  }
}

// Small calls reach the kernels of several heads a thread only on a GPU that is said to be small.
TEST_P(CudaParity, InTheLaunchesOfTheExecutor) {
  const Call call = make_call(GetParam());
  const DeviceCall on_device(call, TurnsPlace::kDevice);
  DeviceFacts facts = facts_of(GetParam());
  ASSERT_EQ(static_cast<int>(image_architecture(&facts.image)), 0);
  const std::vector<Plan> whole = launches_of(on_device.params(), facts);
  for (const Plan& plan : split_launches(whole)) {
    Arguments arguments = {};
    arguments.params = on_device.params();
    arguments.plan = plan;
    ASSERT_EQ(static_cast<int>(launch(arguments)), 0);
  }
  expect_same(on_device);
}

INSTANTIATE_TEST_SUITE_P(Corpus, CudaParity, testing::ValuesIn(corpus()), case_name);

}  // namespace
}  // namespace rope::test
