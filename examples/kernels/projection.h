// What both programs share: a packed projection in raw memory, and the call that rotates it in
// place.
#pragma once

#include <rope/kernels.h>
#include <rope/schedules.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

// A token's row holds its heads of q, then those of k.
constexpr int64_t kNumHeadsQ = 4;
constexpr int64_t kNumHeadsK = 1;
constexpr int64_t kHeadDim = 64;
constexpr int64_t kNumPairs = kHeadDim / 2;
constexpr int64_t kRow = (kNumHeadsQ + kNumHeadsK) * kHeadDim;

inline void require(rope::Status status, const char* what) {
  if (status == rope::Status::kSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, rope::status_text(status));
  std::exit(1);
}

inline std::vector<float> random_rows(int64_t num_tokens) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<float> rows(static_cast<size_t>(num_tokens * kRow));
  std::generate(rows.begin(), rows.end(), [&] { return normal(generator); });
  return rows;
}

inline std::vector<uint64_t> turns_of(const rope::schedules::Schedule& schedule) {
  std::vector<uint64_t> turns;
  for (const double f : schedule.inv_freq) turns.push_back(rope::turns_from_frequency(f));
  return turns;
}

// Rows of q and k at `rows`, positions at `positions` (nullptr counts 0, 1, 2, …), both where the
// call will run. turns stays in host memory: launch_cuda takes so few words as kernel arguments.
inline rope::Params in_place(float* rows, int64_t num_tokens, const int64_t* positions,
                             const std::vector<uint64_t>& turns) {
  const auto heads_at = [&](float* first, int64_t num_heads) {
    rope::Heads heads;
    heads.in = first;
    heads.out = first;
    heads.num_heads = num_heads;
    heads.in_stride = {num_tokens * kRow, kRow, kHeadDim};
    heads.out_stride = heads.in_stride;
    return heads;
  };
  rope::Params params;
  params.dtype = rope::Dtype::kFloat32;
  params.pairing = rope::Pairing::kSplit;
  params.rotary_dim = kHeadDim;
  params.num_batches = 1;
  params.num_tokens = num_tokens;
  params.q = heads_at(rows, kNumHeadsQ);
  params.k = heads_at(rows + kNumHeadsQ * kHeadDim, kNumHeadsK);
  params.axes[0].positions = positions;
  params.axes[0].stride_token = 1;
  params.frequencies.turns = turns.data();
  return params;
}
