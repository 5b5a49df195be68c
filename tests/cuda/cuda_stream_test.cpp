// launch_cuda in the surroundings of a caller: a stream, a graph, a device that is not the first,
// errors that others have left.
#include <cuda_runtime_api.h>

#include <rope/kernels.h>

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "../cpp/call.h"
#include "cuda/arguments.h"
#include "device_call.h"
#include "on_gpu.h"
#include "scalar.h"

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

  // What launch_cuda makes of params while the stream is captured, in the strictest mode.
  cudaGraph_t captured(const Params& params) const {
    cudaGraph_t graph = nullptr;
    expect_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    EXPECT_EQ(launch_cuda(params, stream), Status::kSuccess);
    expect_cuda(cudaStreamEndCapture(stream, &graph));
    return graph;
  }
  void replay(cudaGraph_t graph, int times) const {
    cudaGraphExec_t executable = nullptr;
    expect_cuda(cudaGraphInstantiate(&executable, graph, 0));
    for (int i = 0; i < times; ++i) expect_cuda(cudaGraphLaunch(executable, stream));
    expect_cuda(cudaStreamSynchronize(stream));
    expect_cuda(cudaGraphExecDestroy(executable));
  }
  static std::vector<cudaGraphNodeType> nodes_of(cudaGraph_t graph) {
    size_t count = 0;
    expect_cuda(cudaGraphGetNodes(graph, nullptr, &count));
    std::vector<cudaGraphNode_t> nodes(count);
    if (count > 0) expect_cuda(cudaGraphGetNodes(graph, nodes.data(), &count));
    std::vector<cudaGraphNodeType> types(count);
    for (size_t i = 0; i < count; ++i) expect_cuda(cudaGraphNodeGetType(nodes[i], &types[i]));
    return types;
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

// Dependent launches overlap with the kernel before them, and still read what that one wrote: more
// blocks than a GPU holds at a time, in a chain where each launch needs every bit of the last.
class CudaChain : public CudaStream {
 protected:
  static constexpr int kLaunches = 40;

  void SetUp() override {
    CudaStream::SetUp();
    spec.batches = 1;
    spec.tokens = 600;
    spec.q_heads = 64;
    spec.k_heads = 8;
    spec.rotary_dim = 128;
  }
};

TEST_F(CudaChain, OfLaunchesIsInOrder) {
  const Call call = make_call(spec);
  const DeviceCall on_device(call, TurnsPlace::kHost);
  ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
  for (int i = 0; i < kLaunches; ++i) {
    ASSERT_EQ(launch_cuda(on_device.params(), stream), Status::kSuccess);
  }
  ASSERT_EQ(static_cast<int>(cudaStreamSynchronize(stream)), 0);
  expect_rotated(on_device, kLaunches);
}

TEST_F(CudaChain, InAGraphIsInOrder) {
  const Call call = make_call(spec);
  const DeviceCall on_device(call, TurnsPlace::kHost);
  ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
  cudaGraph_t graph = nullptr;
  expect_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  for (int i = 0; i < kLaunches; ++i) {
    ASSERT_EQ(launch_cuda(on_device.params(), stream), Status::kSuccess);
  }
  expect_cuda(cudaStreamEndCapture(stream, &graph));
  replay(graph, 1);
  expect_rotated(on_device, kLaunches);
  expect_cuda(cudaGraphDestroy(graph));
}

// A graph keeps the turns it saw: they travel as kernel arguments.
TEST_F(CudaStream, CanBeCaptured) {
  Call call = make_call(spec);
  const DeviceCall on_device(call, TurnsPlace::kHost);
  ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
  const cudaGraph_t graph = captured(on_device.params());
  ASSERT_NE(graph, nullptr);
  EXPECT_EQ(nodes_of(graph), std::vector<cudaGraphNodeType>{cudaGraphNodeTypeKernel});
  for (const Block& block : call.blocks) {
    if (block.name() == "turns") std::memset(block.data(), 0, block.size());
  }
  replay(graph, 2);
  expect_rotated(on_device, 2);
  expect_cuda(cudaGraphDestroy(graph));
}

// A kernel is loaded when it is first launched. No other test of this program launches this one, so
// that it is loaded while the stream is captured.
TEST_F(CudaStream, CanBeCapturedBeforeItsKernelIsLoaded) {
  spec.dtype = Dtype::kFloat16;
  spec.pairing = Pairing::kInterleaved;
  const Call call = make_call(spec);
  const DeviceCall on_device(call, TurnsPlace::kDevice);
  ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
  const cudaGraph_t graph = captured(on_device.params());
  ASSERT_NE(graph, nullptr);
  replay(graph, 1);
  expect_rotated(on_device, 1);
  expect_cuda(cudaGraphDestroy(graph));
}

TEST_F(CudaStream, GetsNothingOfAnEmptyCall) {
  const Call call = make_call(spec);
  Params params = call.params;
  params.num_tokens = 0;
  const cudaGraph_t graph = captured(params);
  ASSERT_NE(graph, nullptr);
  EXPECT_TRUE(nodes_of(graph).empty());
  expect_cuda(cudaGraphDestroy(graph));
}

// With one GPU the last device is the first.
TEST_F(CudaStream, BelongsToTheCurrentDevice) {
  int count = 0;
  expect_cuda(cudaGetDeviceCount(&count));
  expect_cuda(cudaSetDevice(count - 1));
  const Call call = make_call(spec);
  const DeviceCall on_device(call, TurnsPlace::kHost);
  ASSERT_EQ(launch_cuda(on_device.params(), nullptr), Status::kSuccess);
  ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
  expect_rotated(on_device, 1);
  expect_cuda(cudaSetDevice(0));
}

// Not under compute-sanitizer, to which an error that is meant is an error.
class CudaFailure : public CudaStream {};

// Too many threads: refused, and told once.
TEST_F(CudaFailure, OfALaunchIsNotTheNextOnes) {
  Arguments arguments = {};
  arguments.params = make_call(spec).params;
  arguments.plan = make_plan(arguments.params, {});
  arguments.plan.dependent_launch = false;
  arguments.plan.block[2] = 2048;
  ASSERT_EQ(static_cast<int>(launch_rotation<BFloat16>(arguments, stream)),
            static_cast<int>(cudaErrorInvalidConfiguration));
  const Call call = make_call(spec);
  const DeviceCall on_device(call, TurnsPlace::kHost);
  ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
  EXPECT_EQ(launch_cuda(on_device.params(), stream), Status::kSuccess);
  expect_cuda(cudaStreamSynchronize(stream));
  expect_rotated(on_device, 1);
}

TEST_F(CudaFailure, OfTheCallerStaysItsLastError) {
  const Call call = make_call(spec);
  const DeviceCall on_device(call, TurnsPlace::kHost);
  ASSERT_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
  const cudaError_t left = cudaSetDevice(-1);
  ASSERT_NE(static_cast<int>(left), 0);
  EXPECT_EQ(launch_cuda(on_device.params(), stream), Status::kSuccess);
  EXPECT_EQ(static_cast<int>(cudaGetLastError()), static_cast<int>(left));
  expect_cuda(cudaStreamSynchronize(stream));
  expect_rotated(on_device, 1);
}

}  // namespace
}  // namespace rope::test
