// FlashInfer's rotation with a table of cosines and sines, called below its Python package, which
// wants far more to be installed than this one header. The call is the one that its
// apply_rope_with_cos_sin_cache_inplace makes. Built only where bring.py has brought the header.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <flashinfer/pos_enc.cuh>

#include "call.h"

namespace {

template <typename Scalar>
int rotate(const PeerCall& call) {
  auto* const q = static_cast<Scalar*>(call.q);
  auto* const k = static_cast<Scalar*>(call.k);
  return flashinfer::BatchQKApplyRotaryPosIdsCosSinCache(
      q, k, q, k, call.table, call.pos, static_cast<uint32_t>(call.tokens),
      static_cast<uint32_t>(call.heads_q), static_cast<uint32_t>(call.heads_k),
      static_cast<uint32_t>(call.rotary_dim), static_cast<uint32_t>(call.head_dim),
      static_cast<size_t>(call.q_token), static_cast<size_t>(call.q_head),
      static_cast<size_t>(call.k_token), static_cast<size_t>(call.k_head),
      static_cast<size_t>(call.q_token), static_cast<size_t>(call.q_head),
      static_cast<size_t>(call.k_token), static_cast<size_t>(call.k_head), call.interleaved != 0,
      static_cast<cudaStream_t>(call.stream));
}

}  // namespace

// Returns a PeerStatus or a cudaError_t.
extern "C" int rope_peer(const PeerCall* call) {
  // Its kernels move whole heads of these sizes.
  if (call->head_dim != 64 && call->head_dim != 128 && call->head_dim != 256) return kNotServed;
  try {
    return call->is_half ? rotate<__half>(*call) : rotate<__nv_bfloat16>(*call);
  } catch (const std::exception& error) {
    return threw(error);
  }
}
