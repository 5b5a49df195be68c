// The bfloat16 kernels.
#include "kernel.cuh"

namespace rope {

template cudaError_t launch_rotation<BFloat16>(const Arguments&, cudaStream_t);

}  // namespace rope
