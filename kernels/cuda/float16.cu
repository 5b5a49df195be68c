// The float16 kernels.
#include "kernel.cuh"

namespace rope {

template cudaError_t launch_rotation<Half>(const Arguments&, cudaStream_t);

}  // namespace rope
