// What a kernel receives, and the launches the instantiation files provide. For cuda/ alone.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "../plan.h"

namespace rope {

// All of it in constant memory: an indexed load costs no register and no trip to device memory.
template <int kTurns>
struct ArgumentsWith {
  Params params;
  Plan plan;
  uint64_t turns[kTurns];
};

// What the launcher fills. Kernels of common calls take as much of it as they can use, which is a
// third: all of a kernel's arguments are copied at each launch.
using Arguments = ArgumentsWith<kMaxHostTurns>;
static_assert(offsetof(ArgumentsWith<kMaxCommonHostTurns>, turns) == offsetof(Arguments, turns));

// Of what a call of the runtime returned, which is all that is ever asked: cudaGetLastError would
// also give, and take away, what another call left behind. What a failure of ours leaves there
// needs no clearing, since the runtime is linked into this library and nobody else sees its state.
inline Status status_of(cudaError_t error) {
  if (error == cudaSuccess) return Status::kSuccess;
  return static_cast<Status>(static_cast<int32_t>(Status::kCudaError) +
                             static_cast<int32_t>(error));
}

// Enqueues one kernel: the grid of arguments.plan, as a dependent launch where the plan says so.
cudaError_t launch_kernel(const void* kernel, const Arguments& arguments, cudaStream_t stream);

template <class Scalar>
cudaError_t launch_rotation(const Arguments& arguments, cudaStream_t stream);

// The architecture that the machine code loaded on the current device was compiled for: 90 for
// sm_90. Compiled by the driver from older PTX, it is the older one, and can no more than that.
cudaError_t image_architecture(int* architecture);

}  // namespace rope
