// Calls whose q and k share no stride, to read or to write: the CPU backend's traversal and the
// threads of the planned grid, against the rotation of one head at a time.
#include <rope/kernels.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "block.h"
#include "executor.h"
#include "executor_memory.h"
#include "launches.h"

namespace rope::test {
namespace {

constexpr int64_t kBatches = 2;
constexpr int64_t kTokens = 3;
constexpr int32_t kRotaryDim = 16;
constexpr uint64_t kTurns[kRotaryDim / 2] = {0x28be60db9391054a,
                                             0x041309af8ec1b3cb,
                                             0x0000068e3fbde7a8,
                                             0xd7419f246c6efab6,
                                             1u << 31,
                                             42,
                                             1,
                                             0};

using Head = std::array<float, kRotaryDim>;

struct Tensor {
  int64_t num_heads;
  Strides in;
  Strides out;
};

// Heads of 40 components in bshd, to heads of 24 in bhsd.
constexpr Tensor kQ = {3, {kTokens * 120, 120, 40}, {3 * kTokens * 24, 24, kTokens * 24}};
// Heads of 20 components in sbhd, to heads of 28 in bshd.
constexpr Tensor kK = {2, {2 * 20, kBatches * 40, 20}, {kTokens * 56, 56, 28}};

int64_t index_of(const Strides& stride, int64_t batch, int64_t token, int64_t head) {
  return batch * stride.batch + token * stride.token + head * stride.head;
}

template <class Visit>
void for_each_head(const Tensor& tensor, Visit&& visit) {
  for (int64_t batch = 0; batch < kBatches; ++batch) {
    for (int64_t token = 0; token < kTokens; ++token) {
      for (int64_t head = 0; head < tensor.num_heads; ++head) visit(batch, token, head);
    }
  }
}

// A block of all that the strides reach, each component another number; returns its first.
float* add_block(std::vector<Block>& blocks, const char* name, const Tensor& tensor,
                 const Strides& stride, float first) {
  const int64_t last = index_of(stride, kBatches - 1, kTokens - 1, tensor.num_heads - 1);
  const size_t count = static_cast<size_t>(last + kRotaryDim);
  blocks.emplace_back(name, count * sizeof(float), true);
  Block& block = blocks.back();
  block.allow(block.data(), block.size(), kMayRead | kMayWrite);
  auto* const values = reinterpret_cast<float*>(block.data());
  for (size_t i = 0; i < count; ++i) values[i] = first + 0.25f * static_cast<float>(i);
  return values;
}

Heads add_heads(std::vector<Block>& blocks, const Tensor& tensor, bool in_place, float first) {
  Heads heads;
  heads.num_heads = tensor.num_heads;
  heads.in_stride = tensor.in;
  heads.out_stride = in_place ? tensor.in : tensor.out;
  float* const in = add_block(blocks, "in", tensor, heads.in_stride, first);
  heads.in = in;
  heads.out = in_place ? in : add_block(blocks, "out", tensor, heads.out_stride, -first);
  return heads;
}

// One head by itself: a call in which no stride counts.
Head rotated(const float* in, int64_t position) {
  Head result;
  Params params;
  params.rotary_dim = kRotaryDim;
  params.num_batches = params.num_tokens = params.q.num_heads = 1;
  params.q.in = in;
  params.q.out = result.data();
  params.axes[0].positions = &position;
  params.frequencies.turns = kTurns;
  EXPECT_EQ(run_cpu(params), Status::kSuccess);
  return result;
}

std::vector<Head> expected_of(const Heads& heads, const Tensor& tensor) {
  std::vector<Head> all;
  for_each_head(tensor, [&](int64_t batch, int64_t token, int64_t head) {
    const auto* const in = static_cast<const float*>(heads.in);
    all.push_back(rotated(in + index_of(heads.in_stride, batch, token, head), token));
  });
  return all;
}

std::vector<Head> written_to(const Heads& heads, const Tensor& tensor) {
  std::vector<Head> all;
  for_each_head(tensor, [&](int64_t batch, int64_t token, int64_t head) {
    const auto* const out = static_cast<const float*>(heads.out);
    const float* const first = out + index_of(heads.out_stride, batch, token, head);
    std::copy(first, first + kRotaryDim, all.emplace_back().begin());
  });
  return all;
}

const uint64_t* add_turns(std::vector<Block>& blocks) {
  blocks.emplace_back("turns", sizeof(kTurns), false);
  Block& block = blocks.back();
  block.allow(block.data(), block.size(), kMayRead);
  std::memcpy(block.data(), kTurns, sizeof(kTurns));
  return reinterpret_cast<const uint64_t*>(block.data());
}

enum class By { kCpu, kThreads };

void run(By by, const Params& params, std::vector<Block>& blocks) {
  if (by == By::kCpu) {
    ASSERT_EQ(run_cpu(params), Status::kSuccess);
    return;
  }
  Checker checker(blocks);
  CheckedMemory memory = {&checker};
  execute(params, launches_of(params, DeviceFacts{}), {2, 1}, memory);
  ASSERT_TRUE(checker.violations().empty()) << checker.violations().front().text;
}

class OwnStrides : public testing::TestWithParam<std::tuple<By, bool>> {};

TEST_P(OwnStrides, OfEachTensorAreUsed) {
  const auto& [by, in_place] = GetParam();
  std::vector<Block> blocks;
  Params params;
  params.rotary_dim = kRotaryDim;
  params.num_batches = kBatches;
  params.num_tokens = kTokens;
  params.q = add_heads(blocks, kQ, in_place, 1.0f);
  params.k = add_heads(blocks, kK, in_place, 1000.0f);
  params.frequencies.turns = add_turns(blocks);
  const std::vector<Head> expected_q = expected_of(params.q, kQ);
  const std::vector<Head> expected_k = expected_of(params.k, kK);
  run(by, params, blocks);
  EXPECT_EQ(written_to(params.q, kQ), expected_q);
  EXPECT_EQ(written_to(params.k, kK), expected_k);
}

std::string own_strides_name(const testing::TestParamInfo<std::tuple<By, bool>>& info) {
  const auto& [by, in_place] = info.param;
  return std::string(by == By::kCpu ? "Cpu" : "Threads") + (in_place ? "InPlace" : "OutOfPlace");
}

INSTANTIATE_TEST_SUITE_P(By, OwnStrides,
                         testing::Combine(testing::Values(By::kCpu, By::kThreads), testing::Bool()),
                         own_strides_name);

}  // namespace
}  // namespace rope::test
