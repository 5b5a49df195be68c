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

template <class Scalar>
cudaError_t launch_rotation(const Arguments& arguments, cudaStream_t stream);

}  // namespace rope
