// The ceiling that the rotation is held against: reads and writes the bytes of q and k in place, in
// one launch, and scales them by -1, so that the data stays what it was however often it runs.
// And the floor: a launch that does nothing. For providers.py, which calls both through ctypes.
#include <cuda_runtime_api.h>

#include <cstdint>

namespace {

constexpr int kThreads = 256;

// Both tensors as 16-byte vectors.
struct Spans {
  uint4* q;
  int64_t num_q;
  uint4* k;
  int64_t num_k;
};

// All loads of a thread are issued before its first store.
template <int kVectors>
__global__ void __launch_bounds__(kThreads) scale_kernel(Spans spans, uint32_t signs) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * (kThreads * kVectors) + threadIdx.x;
  uint4* address[kVectors];
  uint4 vector[kVectors];
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    const int64_t index = first + i * kThreads;
    address[i] = index < spans.num_q ? spans.q + index : spans.k + (index - spans.num_q);
    if (index < spans.num_q + spans.num_k) vector[i] = *address[i];
  }
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    if (first + i * kThreads >= spans.num_q + spans.num_k) continue;
    const uint4 value = vector[i];
    *address[i] = {value.x ^ signs, value.y ^ signs, value.z ^ signs, value.w ^ signs};
  }
}

template <int kVectors>
cudaError_t launch(Spans spans, uint32_t signs, cudaStream_t stream) {
  const int64_t per_block = kThreads * kVectors;
  const int64_t blocks = (spans.num_q + spans.num_k + per_block - 1) / per_block;
  void* values[] = {&spans, &signs};
  return cudaLaunchKernel(reinterpret_cast<const void*>(&scale_kernel<kVectors>),
                          dim3(static_cast<unsigned>(blocks)), dim3(kThreads), values, 0, stream);
}

// With the attribute, the next kernel of a stream starts while this one ends; both halves of the
// handshake are here, so that the floor is that of kernels which use it.
__global__ void empty_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

}  // namespace

// One block of 128 threads that does nothing. dependent: with programmatic dependent launch, which
// wants a GPU of compute capability 9.0 or newer. Returns a cudaError_t.
extern "C" int rope_empty(int dependent, void* stream) {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(1);
  config.blockDim = dim3(128);
  config.stream = static_cast<cudaStream_t>(stream);
  config.attrs = &attribute;
  config.numAttrs = dependent ? 1 : 0;
  return cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(&empty_kernel), nullptr);
}

// q and k: device memory, addresses and sizes in bytes multiples of 16, not both empty. signs: the
// sign bits of a 32-bit word. vectors: 16-byte vectors a thread moves, 1, 2, 4 or 8. Returns a
// cudaError_t.
extern "C" int rope_scale_in_place(void* q, int64_t q_bytes, void* k, int64_t k_bytes,
                                   uint32_t signs, int vectors, void* stream) {
  const Spans spans = {static_cast<uint4*>(q), q_bytes / 16, static_cast<uint4*>(k), k_bytes / 16};
  auto* const queue = static_cast<cudaStream_t>(stream);
  switch (vectors) {
    case 1:
      return launch<1>(spans, signs, queue);
    case 2:
      return launch<2>(spans, signs, queue);
    case 4:
      return launch<4>(spans, signs, queue);
    case 8:
      return launch<8>(spans, signs, queue);
    default:
      return cudaErrorInvalidValue;
  }
}
