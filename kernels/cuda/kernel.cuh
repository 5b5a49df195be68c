// The __global__ shim around thread.h and its launch; one instantiation file per data type
// includes this. Everything a kernel computes is in thread.h.
#pragma once

#include <cuda_runtime_api.h>

#include "../dispatch.h"
#include "../thread.h"
#include "arguments.h"
#include "memory.cuh"

namespace rope {

// Only narrow vectors of wide heads need more lanes than the planner's blocks have.
template <class Kernel>
constexpr int kMaxThreads = Kernel::kBytes >= 16 ? kThreadsPerBlock : kMaxRotaryDim / 2;

// Threads a multiprocessor, of the kernel with this width and these heads in one of the lists.
template <size_t kCount>
constexpr int threads_in(const Residence (&residences)[kCount], int bytes, int heads) {
  for (const Residence& residence : residences) {
    if (residence.bytes == bytes && residence.heads == heads) return residence.threads;
  }
  return 0;
}

// Blocks that a multiprocessor can hold: what the compiler's registers have to allow for. Kernels
// of common calls fit what the planner counts on without a spill (sm_80 to sm_120, nvcc 13.0):
// four, three and two blocks are 64, 80 and 128 registers. For the general kernels one, without
// which the compiler spills a few registers to reach an occupancy that nothing here asks for.
template <class Kernel>
constexpr int blocks_per_multiprocessor() {
  if constexpr (Kernel::kSource == Source::kGeneral) {
    return 1;
  } else {
    constexpr int kThreads = Kernel::kBytes == 32 ? threads_in(kCommonWide, 32, Kernel::kHeads)
                                                  : threads_in(kCommon, 16, Kernel::kHeads);
    static_assert(kThreads > 0, "the planner lists every kernel of dispatch.h");
    return kThreads / kThreadsPerBlock;
  }
}

template <class Kernel>
using ArgumentsOf =
    ArgumentsWith<Kernel::kSource == Source::kGeneral ? kMaxHostTurns : kMaxCommonHostTurns>;

template <class Scalar, class Kernel>
__global__ void __launch_bounds__(kMaxThreads<Kernel>, blocks_per_multiprocessor<Kernel>())
    rotate_kernel(const __grid_constant__ ArgumentsOf<Kernel> arguments) {
  if constexpr (Kernel::kBytes == 32 && !ROPE_WIDE_VECTORS) {
    __trap();  // make_plan chooses this kernel for sm_100 and newer alone
  } else {
    const Coordinate at = {{threadIdx.x, threadIdx.y, threadIdx.z},
                           {blockIdx.x, blockIdx.y, blockIdx.z},
                           {blockDim.x, blockDim.y, blockDim.z}};
    DeviceMemory memory = {arguments.turns};
    rotate_thread<Scalar, typename Kernel::Pairs, Kernel::kBytes, Kernel::kHeads, Kernel::kSource>(
        arguments.params, arguments.plan, at, memory);
  }
}

template <class Scalar>
cudaError_t launch_rotation(const Arguments& arguments, cudaStream_t stream) {
  const Plan& plan = arguments.plan;
  return dispatch<Scalar>(arguments.params, plan, [&](auto kernel) {
    return launch_kernel(reinterpret_cast<const void*>(&rotate_kernel<Scalar, decltype(kernel)>),
                         arguments, stream);
  });
}

}  // namespace rope
