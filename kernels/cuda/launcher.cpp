// From Params to an enqueued kernel: checks, plan, arguments, dispatch by data type.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "../scalar.h"
#include "arguments.h"

namespace rope {
namespace {

// Attributes never change, so the first call on a device reads them; 0 means not read yet. Two
// threads may both read them, and store the same.
constexpr int kMaxDevices = 64;
std::array<std::atomic<int>, kMaxDevices> multiprocessors;
std::array<std::atomic<int>, kMaxDevices> threads_per_multiprocessor;

cudaError_t attribute(std::array<std::atomic<int>, kMaxDevices>& cache, cudaDeviceAttr name,
                      int device, int* value) {
  const bool cached = device < kMaxDevices;
  const auto slot = static_cast<size_t>(device);
  *value = cached ? cache[slot].load(std::memory_order_relaxed) : 0;
  if (*value != 0) return cudaSuccess;
  const cudaError_t error = cudaDeviceGetAttribute(value, name, device);
  if (error == cudaSuccess && cached) cache[slot].store(*value, std::memory_order_relaxed);
  return error;
}

cudaError_t device_facts(DeviceFacts* facts) {
  int device = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error != cudaSuccess) return error;
  error = attribute(multiprocessors, cudaDevAttrMultiProcessorCount, device,
                    &facts->num_multiprocessors);
  if (error != cudaSuccess) return error;
  return attribute(threads_per_multiprocessor, cudaDevAttrMaxThreadsPerMultiProcessor, device,
                   &facts->threads_per_multiprocessor);
}

// How many words the strides of the frequencies reach.
int64_t host_turns_count(const Params& params) {
  const Frequencies& frequencies = params.frequencies;
  if (frequencies.turns == nullptr || !frequencies.on_host) return 0;
  const int64_t heads = std::max(params.q.num_heads, params.k.num_heads);
  const int64_t last_head = frequencies.stride_head == 0 ? 0 : heads - 1;
  return (params.num_axes - 1) * frequencies.stride_axis + last_head * frequencies.stride_head +
         params.rotary_dim / 2;
}

cudaError_t launch(const Arguments& arguments, cudaStream_t stream) {
  switch (arguments.params.dtype) {
    case Dtype::kFloat16:
      return launch_rotation<Half>(arguments, stream);
    case Dtype::kBFloat16:
      return launch_rotation<BFloat16>(arguments, stream);
    default:
      return launch_rotation<float>(arguments, stream);
  }
}

}  // namespace

Status launch_cuda(const Params& params, void* stream) noexcept {
  const Status status = validate(params);
  if (status != Status::kSuccess || is_empty(params)) return status;
  const int64_t words = host_turns_count(params);
  if (words < 0 || words > kMaxHostTurns) return Status::kHostTurns;

  DeviceFacts facts;
  const cudaError_t error = device_facts(&facts);
  if (error != cudaSuccess) return status_of(error);
  Arguments arguments;
  arguments.params = merge_batches(params);
  arguments.plan = make_plan(arguments.params, facts);
  if (words > 0) {
    std::memcpy(arguments.turns, params.frequencies.turns,
                static_cast<size_t>(words) * sizeof(uint64_t));
  }
  cudaError_t launched;
  do {
    launched = launch(arguments, static_cast<cudaStream_t>(stream));
  } while (launched == cudaSuccess && next_launch(arguments.params, arguments.plan));
  return status_of(launched);
}

}  // namespace rope
