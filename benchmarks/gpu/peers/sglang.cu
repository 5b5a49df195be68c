// SGLang's rotation (its "JIT v2": persistent blocks, programmatic dependent launch), called below
// its Python package, which compiles it for one size at a time when it is first called. The call is
// the one that its apply_rope_inplace makes. Built only where bring.py has brought the headers.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <elementwise/rope.cuh>

#include "call.h"

namespace {

constexpr DLDataType kFloat = {kDLFloat, 32, 1};
constexpr DLDataType kPosition = {kDLInt, 64, 1};

DLTensor view(void* data, DLDataType type, int dims, int64_t* extents, int64_t* strides) {
  return {data, {kDLCUDA, 0}, dims, type, extents, strides, 0};
}

template <typename Scalar, bool kSplit, int64_t kRotaryDim>
int rotate(const PeerCall& call, DLDataType type) {
  int64_t q_extents[] = {call.tokens, call.heads_q, kRotaryDim};
  int64_t k_extents[] = {call.tokens, call.heads_k, kRotaryDim};
  int64_t q_strides[] = {call.q_token, call.q_head, 1};
  int64_t k_strides[] = {call.k_token, call.k_head, 1};
  int64_t table_extents[] = {call.rows, kRotaryDim}, table_strides[] = {kRotaryDim, 1};
  int64_t pos_extents[] = {call.tokens}, pos_strides[] = {1};
  DLTensor q = view(call.q, type, 3, q_extents, q_strides);
  DLTensor k = view(call.k, type, 3, k_extents, k_strides);
  DLTensor table = view(call.table, kFloat, 2, table_extents, table_strides);
  DLTensor pos = view(call.pos, kPosition, 1, pos_extents, pos_strides);
  constexpr bool kDependentLaunch = SGL_CUDA_ARCH >= 900;
  sglang::FusedRopeKernel<kSplit, kRotaryDim, kDependentLaunch, Scalar, Scalar>::run(&q, &k, &table,
                                                                                     &pos);
  return kServed;
}

template <typename Scalar>
int rotate(const PeerCall& call, DLDataType type) {
  const bool split = call.interleaved == 0;
  if (call.rotary_dim == 128) {
    return split ? rotate<Scalar, true, 128>(call, type) : rotate<Scalar, false, 128>(call, type);
  }
  if (call.rotary_dim == 64) {
    return split ? rotate<Scalar, true, 64>(call, type) : rotate<Scalar, false, 64>(call, type);
  }
  return kNotServed;
}

}  // namespace

// Returns a PeerStatus.
extern "C" int rope_peer(const PeerCall* call) {
  if (call->q_head != call->k_head) return kNotServed;  // it has one stride for both
  try {
    TVMFFIEnvSetStream(kDLCUDA, 0, call->stream, nullptr);
    return call->is_half ? rotate<__half>(*call, {kDLFloat, 16, 1})
                         : rotate<__nv_bfloat16>(*call, {kDLBfloat, 16, 1});
  } catch (const std::exception& error) {
    return threw(error);
  }
}
