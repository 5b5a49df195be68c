// Rotates a packed projection on a GPU without torch: on a stream of its own, at once and then as a
// captured graph, and finds the bits that the CPU makes. Prints the time beside that of a copy of
// the same bytes. Status 1 where anything differs, 77 where there is no GPU.

#include <cuda_runtime_api.h>

#include <cstring>

#include "projection.h"

namespace {

constexpr int64_t kNumTokens = 16384;
constexpr size_t kBytes = kNumTokens * kRow * sizeof(float);
constexpr int kRuns = 50;

void require_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

// Frees what it holds when the program ends, also by an exception.
struct DeviceMemory {
  explicit DeviceMemory(size_t bytes) { require_cuda(cudaMalloc(&address, bytes), "cudaMalloc"); }
  ~DeviceMemory() { cudaFree(address); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  float* rows() const { return static_cast<float*>(address); }
  void* address = nullptr;
};

bool is_equal(const char* what, const std::vector<float>& expected, const DeviceMemory& memory,
              cudaStream_t stream) {
  std::vector<float> actual(expected.size());
  require_cuda(
      cudaMemcpyAsync(actual.data(), memory.address, kBytes, cudaMemcpyDeviceToHost, stream),
      "cudaMemcpyAsync");
  require_cuda(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  const bool same = std::memcmp(actual.data(), expected.data(), kBytes) == 0;
  std::printf("%s: %s\n", what, same ? "the bits of the CPU" : "DIFFERENT");
  return same;
}

// The mean of kRuns runs, in microseconds.
template <class Work>
float microseconds_of(const Work& work, cudaStream_t stream) {
  cudaEvent_t start;
  cudaEvent_t end;
  require_cuda(cudaEventCreate(&start), "cudaEventCreate");
  require_cuda(cudaEventCreate(&end), "cudaEventCreate");
  work();
  require_cuda(cudaEventRecord(start, stream), "cudaEventRecord");
  for (int run = 0; run < kRuns; ++run) work();
  require_cuda(cudaEventRecord(end, stream), "cudaEventRecord");
  require_cuda(cudaEventSynchronize(end), "cudaEventSynchronize");
  float milliseconds = 0;
  require_cuda(cudaEventElapsedTime(&milliseconds, start, end), "cudaEventElapsedTime");
  cudaEventDestroy(start);
  cudaEventDestroy(end);
  return 1000 * milliseconds / kRuns;
}

cudaGraphExec_t capture(const rope::Params& params, cudaStream_t stream) {
  require_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal),
               "cudaStreamBeginCapture");
  require(rope::launch_cuda(params, stream), "rope::launch_cuda, captured");
  cudaGraph_t graph;
  require_cuda(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  cudaGraphExec_t executable;
  require_cuda(cudaGraphInstantiate(&executable, graph, 0), "cudaGraphInstantiate");
  cudaGraphDestroy(graph);
  return executable;
}

bool run(cudaStream_t stream) {
  const std::vector<uint64_t> turns = turns_of(rope::schedules::default_(kHeadDim, 500000.0));
  std::vector<float> rows = random_rows(kNumTokens);
  const DeviceMemory memory(kBytes);
  const DeviceMemory other(kBytes);
  require_cuda(cudaMemcpyAsync(memory.address, rows.data(), kBytes, cudaMemcpyHostToDevice, stream),
               "cudaMemcpyAsync");
  const rope::Params params = in_place(memory.rows(), kNumTokens, nullptr, turns);
  const rope::Params on_cpu = in_place(rows.data(), kNumTokens, nullptr, turns);

  require(rope::launch_cuda(params, stream), "rope::launch_cuda");
  require(rope::run_cpu(on_cpu), "rope::run_cpu");
  bool same = is_equal("rope::launch_cuda", rows, memory, stream);

  const cudaGraphExec_t graph = capture(params, stream);
  require_cuda(cudaGraphLaunch(graph, stream), "cudaGraphLaunch");
  require(rope::run_cpu(on_cpu), "rope::run_cpu");
  same = is_equal("the same from a graph, on top", rows, memory, stream) && same;
  cudaGraphExecDestroy(graph);

  const auto rotate = [&] { require(rope::launch_cuda(params, stream), "rope::launch_cuda"); };
  const auto copy = [&] {
    require_cuda(
        cudaMemcpyAsync(other.address, memory.address, kBytes, cudaMemcpyDeviceToDevice, stream),
        "cudaMemcpyAsync");
  };
  const float rotated = microseconds_of(rotate, stream);
  const float copied = microseconds_of(copy, stream);
  std::printf("%zu bytes in place: %.1f us; copied: %.1f us\n", kBytes, rotated, copied);
  return same;
}

}  // namespace

int main() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    std::printf("no GPU: %s\n", cudaGetErrorString(error));
    return 77;
  }
  cudaStream_t stream;
  require_cuda(cudaStreamCreate(&stream), "cudaStreamCreate");
  const bool same = run(stream);
  cudaStreamDestroy(stream);
  return same ? 0 : 1;
}
