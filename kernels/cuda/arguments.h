// What a kernel receives, and the launches the instantiation files provide. For cuda/ alone.
#pragma once

#include <cuda_runtime_api.h>

#include "../plan.h"

namespace rope {

// All of it in constant memory: an indexed load costs no register and no trip to device memory.
struct Arguments {
  Params params;
  Plan plan;
  uint64_t turns[kMaxHostTurns];
};

// Of what a call of the runtime returned, which is all that is ever asked: cudaGetLastError would
// also give, and take away, what another call left behind. What a failure of ours leaves there
// needs no clearing, since the runtime is linked into this library and nobody else sees its state.
inline Status status_of(cudaError_t error) {
  if (error == cudaSuccess) return Status::kSuccess;
  return static_cast<Status>(static_cast<int32_t>(Status::kCudaError) +
                             static_cast<int32_t>(error));
}

template <class Scalar>
cudaError_t launch_rotation(const Arguments& arguments, cudaStream_t stream);

}  // namespace rope
