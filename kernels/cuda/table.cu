// Tables of cosines and sines, and frequencies that only the device can read.
#include <cuda_runtime_api.h>

#include <algorithm>

#include "../angles.h"
#include "../phase.h"
#include "../plan.h"
#include "arguments.h"

namespace rope {
namespace {

constexpr int kThreads = 256;

// Threads of a block share a row where it is wide enough, so that their writes are adjacent.
__global__ void __launch_bounds__(kThreads)
    table_kernel(const __grid_constant__ TableParams params) {
  const int32_t pairs = params.num_pairs;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.y;
  int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  for (; row < params.num_rows; row += step) {
    const uint64_t position = static_cast<uint64_t>(params.start) + static_cast<uint64_t>(row);
    float* out = params.out + row * (2 * static_cast<int64_t>(pairs));
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < pairs; i += blockDim.x) {
      const uint64_t turns = params.turns[i];
      const CosSin angle = computed_angle(position * turns, params.attention_factor,
                                          params.may_be_invalid && turns == kInvalidTurns);
      out[i] = angle.cos;
      out[pairs + i] = angle.sin;
    }
  }
}

template <class Real>
__global__ void __launch_bounds__(kThreads)
    turns_kernel(const Real* inv_freq, int64_t count, uint64_t* turns) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; i < count; i += step) turns[i] = turns_of(static_cast<double>(inv_freq[i]));
}

// A grid that covers the work or, beyond 2^20 blocks, loops over it.
uint32_t blocks_for(int64_t work, int64_t per_block) {
  const int64_t blocks = work / per_block + (work % per_block != 0);
  constexpr int64_t kMost = int64_t{1} << 20;
  return static_cast<uint32_t>(blocks < kMost ? blocks : kMost);
}

template <class Real>
Status launch_turns(const Real* inv_freq, int64_t count, uint64_t* turns, void* stream) {
  if (count < 0) return Status::kExtent;
  if (count == 0) return Status::kSuccess;
  if (inv_freq == nullptr || turns == nullptr) return Status::kNullPointer;
  const bool aligned = reinterpret_cast<uintptr_t>(inv_freq) % sizeof(Real) == 0 &&
                       reinterpret_cast<uintptr_t>(turns) % sizeof(uint64_t) == 0;
  if (!aligned) return Status::kAlignment;
  void* values[] = {&inv_freq, &count, &turns};
  return status_of(cudaLaunchKernel(reinterpret_cast<const void*>(&turns_kernel<Real>),
                                    dim3(blocks_for(count, kThreads)), dim3(kThreads), values, 0,
                                    static_cast<cudaStream_t>(stream)));
}

}  // namespace

// Of a kernel of this file: all of them are compiled for the same architectures.
cudaError_t image_architecture(int* architecture) {
  cudaFuncAttributes attributes;
  const cudaError_t error =
      cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(&turns_kernel<float>));
  if (error == cudaSuccess) {
    *architecture = std::min(attributes.ptxVersion, attributes.binaryVersion);
  }
  return error;
}

Status launch_table_cuda(const TableParams& params, void* stream) noexcept {
  const Status status = validate(params);
  if (status != Status::kSuccess || params.num_rows == 0) return status;
  uint32_t width = 32;
  while (width < static_cast<uint32_t>(params.num_pairs) && width < kThreads) width *= 2;
  const dim3 block(width, kThreads / width);
  void* values[] = {const_cast<TableParams*>(&params)};
  return status_of(cudaLaunchKernel(reinterpret_cast<const void*>(&table_kernel),
                                    dim3(blocks_for(params.num_rows, block.y)), block, values, 0,
                                    static_cast<cudaStream_t>(stream)));
}

Status launch_turns_cuda(const float* inv_freq, int64_t count, uint64_t* turns,
                         void* stream) noexcept {
  return launch_turns(inv_freq, count, turns, stream);
}

Status launch_turns_cuda(const double* inv_freq, int64_t count, uint64_t* turns,
                         void* stream) noexcept {
  return launch_turns(inv_freq, count, turns, stream);
}

}  // namespace rope
