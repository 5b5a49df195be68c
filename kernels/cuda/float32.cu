// The float32 kernels.
#include "kernel.cuh"

namespace rope {

template cudaError_t launch_rotation<float>(const Arguments&, cudaStream_t);

}  // namespace rope
