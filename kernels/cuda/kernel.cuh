// The __global__ shim around thread.h and its launch; one instantiation file per data type
// includes this. Everything a kernel computes is in thread.h.
#pragma once

#include <cuda_runtime_api.h>

#include "../dispatch.h"
#include "../thread.h"
#include "arguments.h"
#include "memory.cuh"

namespace rope {

// The planner makes blocks of 256 threads; only narrow vectors of wide heads need more lanes. One
// block a multiprocessor is all the compiler has to allow for: without that bound it spills a few
// registers (sm_80 to sm_120, nvcc 13.0) to reach an occupancy that nothing here asks for.
template <class Kernel>
constexpr int kMaxThreads = Kernel::kBytes == 16 ? 256 : kMaxRotaryDim / 2;

template <class Scalar, class Kernel>
__global__ void __launch_bounds__(kMaxThreads<Kernel>, 1)
    rotate_kernel(const __grid_constant__ Arguments arguments) {
  const Coordinate at = {{threadIdx.x, threadIdx.y, threadIdx.z},
                         {blockIdx.x, blockIdx.y, blockIdx.z},
                         {blockDim.x, blockDim.y, blockDim.z}};
  DeviceMemory memory = {arguments.turns};
  rotate_thread<Scalar, typename Kernel::Pairs, Kernel::kBytes, Kernel::kHeads, Kernel::kSource>(
      arguments.params, arguments.plan, at, memory);
}

template <class Scalar>
cudaError_t launch_rotation(const Arguments& arguments, cudaStream_t stream) {
  const Plan& plan = arguments.plan;
  return dispatch<Scalar>(arguments.params, plan, [&](auto kernel) {
    const dim3 grid(plan.grid[0], plan.grid[1], plan.grid[2]);
    const dim3 block(plan.block[0], plan.block[1], plan.block[2]);
    void* values[] = {const_cast<Arguments*>(&arguments)};
    return cudaLaunchKernel(reinterpret_cast<const void*>(&rotate_kernel<Scalar, decltype(kernel)>),
                            grid, block, values, 0, stream);
  });
}

}  // namespace rope
