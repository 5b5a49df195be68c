// From Params to an enqueued kernel: checks, plan, arguments, dispatch by data type; and what is to
// be said where the CUDA runtime refuses.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "../scalar.h"
#include "../status.h"
#include "arguments.h"

namespace rope {
namespace {

// Facts never change, so the first call on a device finds them out; 0 means not known yet. Two
// threads may both do so, and store the same.
constexpr int kMaxDevices = 64;
using Cache = std::array<std::atomic<int>, kMaxDevices>;
Cache multiprocessors;
Cache threads_per_multiprocessor;
Cache images;

template <class Find>
cudaError_t cached(Cache& cache, int device, const Find& find, int* value) {
  const bool has_slot = device < kMaxDevices;
  const auto slot = static_cast<size_t>(device);
  *value = has_slot ? cache[slot].load(std::memory_order_relaxed) : 0;
  if (*value != 0) return cudaSuccess;
  const cudaError_t error = find(value);
  if (error == cudaSuccess && has_slot) cache[slot].store(*value, std::memory_order_relaxed);
  return error;
}

cudaError_t attribute(Cache& cache, cudaDeviceAttr name, int device, int* value) {
  return cached(
      cache, device, [&](int* found) { return cudaDeviceGetAttribute(found, name, device); },
      value);
}

cudaError_t device_facts(DeviceFacts* facts) {
  int device = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error != cudaSuccess) return error;
  error = attribute(multiprocessors, cudaDevAttrMultiProcessorCount, device,
                    &facts->num_multiprocessors);
  if (error != cudaSuccess) return error;
  error = attribute(threads_per_multiprocessor, cudaDevAttrMaxThreadsPerMultiProcessor, device,
                    &facts->threads_per_multiprocessor);
  if (error != cudaSuccess) return error;
  return cached(images, device, &image_architecture, &facts->image);
}

constexpr int64_t kTooMany = kMaxHostTurns + 1;

// How far a stride reaches over some items; kTooMany where that is before the first word, or so far
// that the product might overflow.
int64_t reach(int64_t count, int64_t stride) {
  if (count <= 1 || stride == 0) return 0;
  if (stride < 0 || stride >= kTooMany || count > kTooMany) return kTooMany;
  return (count - 1) * stride;
}

// How many words the strides of the frequencies reach.
int64_t host_turns_count(const Params& params) {
  const Frequencies& frequencies = params.frequencies;
  if (frequencies.turns == nullptr || !frequencies.on_host) return 0;
  const int64_t heads = std::max(params.q.num_heads, params.k.num_heads);
  return reach(params.num_axes, frequencies.stride_axis) + reach(heads, frequencies.stride_head) +
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

cudaError_t error_of(Status status) {
  return static_cast<cudaError_t>(static_cast<int32_t>(status) -
                                  static_cast<int32_t>(Status::kCudaError));
}

}  // namespace

cudaError_t launch_kernel(const void* kernel, const Arguments& arguments, cudaStream_t stream) {
  const Plan& plan = arguments.plan;
  const dim3 grid(plan.grid[0], plan.grid[1], plan.grid[2]);
  const dim3 block(plan.block[0], plan.block[1], plan.block[2]);
  void* values[] = {const_cast<Arguments*>(&arguments)};
  if (!plan.dependent_launch) return cudaLaunchKernel(kernel, grid, block, values, 0, stream);
  cudaLaunchAttribute dependent = {};
  dependent.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  dependent.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.stream = stream;
  config.attrs = &dependent;
  config.numAttrs = 1;
  return cudaLaunchKernelExC(&config, kernel, values);
}

const char* cuda_error_name(Status status) noexcept {
  return status > Status::kCudaError ? cudaGetErrorName(error_of(status)) : "";
}

const char* cuda_error_text(Status status) noexcept {
  return cudaGetErrorString(error_of(status));
}

CudaCause cuda_cause(Status status) noexcept {
  switch (error_of(status)) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorTensorMemoryLeak:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorExternalDevice:
      return CudaCause::kEarlierWork;
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorInvalidKernelImage:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidPtx:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorJitCompilerNotFound:
    case cudaErrorJitCompilationDisabled:
      return CudaCause::kArchitecture;
    case cudaErrorInsufficientDriver:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorCompatNotSupportedOnDevice:
      return CudaCause::kDriver;
    default:
      return CudaCause::kCall;
  }
}

FoundCuda found_cuda() noexcept {
  FoundCuda found;
  if (cudaDriverGetVersion(&found.driver) != cudaSuccess) found.driver = 0;
  int device = 0;
  int major = 0;
  int minor = 0;
  if (cudaGetDevice(&device) == cudaSuccess &&
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) == cudaSuccess) {
    found.architecture = 10 * major + minor;
  }
  return found;
}

Status launch_cuda(const Params& params, void* stream) noexcept {
  const Status status = validate(params);
  if (status != Status::kSuccess || is_empty(params)) return status;
  const int64_t words = host_turns_count(params);
  if (words > kMaxHostTurns) return Status::kHostTurns;

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
