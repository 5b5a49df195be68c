// Every leading 32-bit word of a phase, through the table filler of the widest CPU backend: the
// largest error, the share of correctly rounded values and the distance from the unit circle.
#include <rope/kernels.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "reference.h"

namespace rope {
namespace {

// A leading word is an anchor (16 bits) plus a step; cos and sin of their sum come from the two by
// the addition theorem, in double: 3 · 2^-53 against the 2^-24 that is measured.
constexpr int kSteps = 1 << 16;
constexpr int kRow = kMaxRotaryDim / 2;

struct DoubleCosSin {
  double cos, sin;
};

DoubleCosSin rounded(const test::LongCosSin& exact) {
  return {static_cast<double>(exact.cos), static_cast<double>(exact.sin)};
}

struct Steps {
  std::vector<double> cos, sin;

  Steps() {
    for (uint64_t i = 0; i < kSteps; ++i) {
      const DoubleCosSin step = rounded(test::long_cos_sin(i << 32));
      cos.push_back(step.cos);
      sin.push_back(step.sin);
    }
  }
};

struct Findings {
  double worst = 0;
  double off_circle = 0;
  uint64_t correctly_rounded = 0;

  void merge(const Findings& other) {
    worst = std::max(worst, other.worst);
    off_circle = std::max(off_circle, other.off_circle);
    correctly_rounded += other.correctly_rounded;
  }
};

// The word below the leading one: nothing, or something that varies with it.
uint32_t low_word(bool vary, uint32_t high) {
  return vary ? (high ^ high >> 15) * 0x9e3779b1u : 0;
}

// Position 1 of a table has its turns as phases: one row judges kRow of them.
void judge_row(uint32_t anchor, int first, bool vary, const Steps& steps, Findings& findings) {
  uint64_t phases[kRow];
  double below[kRow];
  for (int i = 0; i < kRow; ++i) {
    const uint32_t high = anchor + static_cast<uint32_t>(first + i);
    const uint32_t low = low_word(vary, high);
    phases[i] = uint64_t{high} << 32 | low;
    below[i] = static_cast<double>(low) * (2 * static_cast<double>(test::kPi) * 0x1p-64);
  }
  float table[2 * kRow];
  TableParams params;
  params.turns = phases;
  params.num_pairs = kRow;
  params.num_rows = 1;
  params.start = 1;
  params.out = table;
  ASSERT_EQ(fill_table_cpu(params, 0, 1), Status::kSuccess);

  const DoubleCosSin base = rounded(test::long_cos_sin(uint64_t{anchor} << 32));
  for (int i = 0; i < kRow; ++i) {
    const double step_cos = steps.cos[static_cast<size_t>(first + i)];
    const double step_sin = steps.sin[static_cast<size_t>(first + i)];
    const double high_cos = base.cos * step_cos - base.sin * step_sin;
    const double high_sin = base.sin * step_cos + base.cos * step_sin;
    // below is under 1.5e-9: the next term of its sine and cosine is 1e-18.
    const double cosine = high_cos - high_sin * below[i];
    const double sine = high_sin + high_cos * below[i];
    const double got_cos = table[i];
    const double got_sin = table[kRow + i];
    findings.worst = std::max(findings.worst, std::fabs(got_cos - cosine));
    findings.worst = std::max(findings.worst, std::fabs(got_sin - sine));
    findings.off_circle =
        std::max(findings.off_circle, std::fabs(got_cos * got_cos + got_sin * got_sin - 1.0));
    findings.correctly_rounded += static_cast<uint64_t>(static_cast<float>(cosine) == table[i]) +
                                  (static_cast<float>(sine) == table[kRow + i]);
  }
}

Findings judge_anchors(uint32_t first, uint32_t last, bool vary, const Steps& steps) {
  Findings findings;
  for (uint32_t anchor = first; anchor < last; ++anchor) {
    for (int step = 0; step < kSteps; step += kRow) {
      judge_row(anchor << 16, step, vary, steps, findings);
    }
  }
  return findings;
}

class EveryLeadingWord : public testing::TestWithParam<bool> {};

TEST_P(EveryLeadingWord, IsWithinTheBound) {
  const Steps steps;
  const uint32_t workers = std::max(1u, std::thread::hardware_concurrency());
  std::vector<Findings> found(workers);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < workers; ++i) {
    threads.emplace_back([&, i] {
      const uint32_t anchors = 1u << 16;
      found[i] = judge_anchors(anchors / workers * i,
                               i + 1 == workers ? anchors : anchors / workers * (i + 1), GetParam(),
                               steps);
    });
  }
  for (std::thread& thread : threads) thread.join();
  Findings all;
  for (const Findings& part : found) all.merge(part);

  std::printf("largest error %.4f · 2^-24, correctly rounded %.2f %%, |c² + s² − 1| %.4f · 2^-24\n",
              all.worst * 0x1p24, 100 * static_cast<double>(all.correctly_rounded) * 0x1p-33,
              all.off_circle * 0x1p24);
  EXPECT_LE(all.worst, 0.75 * 0x1p-24);
  // 2·(|c| + |s|)·0.75, |c| + |s| ≤ √2, and a second-order term far below the rounded-up digit.
  EXPECT_LE(all.off_circle, 2.13 * 0x1p-24);
}

std::string low_name(const testing::TestParamInfo<bool>& info) {
  return info.param ? "WithWordsBelow" : "WithZerosBelow";
}

INSTANTIATE_TEST_SUITE_P(Phase, EveryLeadingWord, testing::Bool(), low_name);

}  // namespace
}  // namespace rope
