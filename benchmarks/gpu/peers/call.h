// What a peer's library is called with; peers/built.py has the same as a ctypes.Structure. For
// flashinfer.cu and sglang.cu alone: nothing of Rope includes this.
#pragma once

#include <cstdint>
#include <cstdio>
#include <exception>

// q and k: device memory, (tokens, heads, head_dim), rotated in place; the last stride is 1, the
// others are in elements. table: (rows, rotary_dim) float32, cosines before sines. pos: (tokens,).
// is_half: float16 instead of bfloat16.
struct PeerCall {
  void* q;
  void* k;
  float* table;
  int64_t* pos;
  void* stream;
  int64_t tokens, rows;
  int64_t heads_q, heads_k;
  int64_t head_dim, rotary_dim;
  int64_t q_token, q_head;
  int64_t k_token, k_head;
  int64_t is_half, interleaved;
};

enum PeerStatus : int { kServed = 0, kNotServed = -1, kThrew = -2 };

// What it says goes to the log.
inline int threw(const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return kThrew;
}
