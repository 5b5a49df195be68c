// launch_cuda on a stream of the caller's, alone and captured into a graph.
#include <cuda_runtime_api.h>

#include <rope/kernels.h>

#include <cstring>

#include <gtest/gtest.h>

#include "../cpp/call.h"
#include "device_call.h"
#include "on_gpu.h"

namespace rope::test {
namespace {

class CudaStream : public OnGpu {
 protected:
  cudaStream_t stream = nullptr;
  Case spec;

  void SetUp() override {
    OnGpu::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    expect_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  }
  void TearDown() override {
    if (stream != nullptr) expect_cuda(cudaStreamDestroy(stream));
  }

  // The call with the CPU's result, rotated `times` in place.
  Call rotated(int times) const {
    Call call = make_call(spec);
    for (int i = 0; i < times; ++i) EXPECT_EQ(run_cpu(call.params), Status::kSuccess);
    return call;
  }
  void expect_rotated(const DeviceCall& on_device, int times) const {
    const Call got = make_call(spec);
    on_device.download(got);
    EXPECT_EQ(first_difference(rotated(times), got), "");
  }
};

// Waiting for the stream alone is enough, and work is done in its order.
TEST_F(CudaStream, IsTheOneThatWorks) {
  const Call call = make_call(spec);
  const DeviceCall on_device(call, TurnsPlace::kHost);
  ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
  ASSERT_EQ(launch_cuda(on_device.params(), stream), Status::kSuccess);
  ASSERT_EQ(launch_cuda(on_device.params(), stream), Status::kSuccess);
  ASSERT_EQ(static_cast<int>(cudaStreamSynchronize(stream)), 0);
  expect_rotated(on_device, 2);
}

// A graph keeps the turns it saw: they travel as kernel arguments.
TEST_F(CudaStream, CanBeCaptured) {
  Call call = make_call(spec);
  const DeviceCall on_device(call, TurnsPlace::kHost);
  ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  expect_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  EXPECT_EQ(launch_cuda(on_device.params(), stream), Status::kSuccess);
  expect_cuda(cudaStreamEndCapture(stream, &graph));
  ASSERT_NE(graph, nullptr);
  expect_cuda(cudaGraphInstantiate(&executable, graph, 0));
  for (const Block& block : call.blocks) {
    if (block.name() == "turns") std::memset(block.data(), 0, block.size());
  }
  expect_cuda(cudaGraphLaunch(executable, stream));
  expect_cuda(cudaGraphLaunch(executable, stream));
  expect_cuda(cudaStreamSynchronize(stream));
  expect_rotated(on_device, 2);
  expect_cuda(cudaGraphExecDestroy(executable));
  expect_cuda(cudaGraphDestroy(graph));
}

}  // namespace
}  // namespace rope::test
