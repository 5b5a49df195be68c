// fill_table_cpu: rows in their order, any start, invalid frequencies, nothing written beside them.
#include <rope/kernels.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "phase.h"
#include "reference.h"

namespace rope::test {
namespace {

constexpr uint64_t kTurns[] = {0x28be60db9391054a, 0x041309af8ec1b3cb, 0x0000068e3fbde7a8,
                               0xd7419f246c6efab6, 0};
constexpr int32_t kPairs = 5;
constexpr int64_t kRows = 40;

struct Start {
  const char* name;
  int64_t value;
};

std::string start_name(const testing::TestParamInfo<Start>& info) {
  return info.param.name;
}

class TableFrom : public testing::TestWithParam<Start> {
 protected:
  TableParams params;
  std::vector<float> out = std::vector<float>(2 * kPairs * kRows, -7.0f);

  void SetUp() override {
    params.turns = kTurns;
    params.num_pairs = kPairs;
    params.num_rows = kRows;
    params.start = GetParam().value;
    params.out = out.data();
  }

  uint64_t phase(int64_t row, int64_t pair) const {
    return (static_cast<uint64_t>(params.start) + static_cast<uint64_t>(row)) * kTurns[pair];
  }
  float cosine(int64_t row, int64_t pair) const {
    return out[static_cast<size_t>(row * 2 * kPairs + pair)];
  }
  float sine(int64_t row, int64_t pair) const { return cosine(row, kPairs + pair); }
};

TEST_P(TableFrom, IsWithinTheBound) {
  ASSERT_EQ(fill_table_cpu(params, 0, kRows), Status::kSuccess);
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t pair = 0; pair < kPairs; ++pair) {
      const LongCosSin exact = long_cos_sin(phase(row, pair));
      EXPECT_LE(std::fabs(cosine(row, pair) - exact.cos), 0.75L * 0x1p-24L);
      EXPECT_LE(std::fabs(sine(row, pair) - exact.sin), 0.75L * 0x1p-24L);
    }
  }
}

// The factor is a float32, and multiplies what is already rounded.
TEST_P(TableFrom, MultipliesByTheFactorLast) {
  params.attention_factor = 1.2079441f;
  ASSERT_EQ(fill_table_cpu(params, 0, kRows), Status::kSuccess);
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t pair = 0; pair < kPairs; ++pair) {
      const CosSin exact = cos_sin(phase(row, pair));
      EXPECT_EQ(cosine(row, pair), exact.cos * 1.2079441f);
      EXPECT_EQ(sine(row, pair), exact.sin * 1.2079441f);
    }
  }
}

TEST_P(TableFrom, WritesTheRowsItIsAskedFor) {
  ASSERT_EQ(fill_table_cpu(params, 3, 5), Status::kSuccess);
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t pair = 0; pair < 2 * kPairs; ++pair) {
      EXPECT_EQ(cosine(row, pair) == -7.0f, row < 3 || row >= 5);
    }
  }
}

TEST_P(TableFrom, IsTheSameInSlices) {
  ASSERT_EQ(fill_table_cpu(params, 0, kRows), Status::kSuccess);
  const std::vector<float> whole = out;
  std::fill(out.begin(), out.end(), -7.0f);
  ASSERT_EQ(fill_table_cpu(params, 17, kRows), Status::kSuccess);
  ASSERT_EQ(fill_table_cpu(params, 0, 17), Status::kSuccess);
  EXPECT_EQ(out, whole);
}

INSTANTIATE_TEST_SUITE_P(
    Start, TableFrom,
    testing::Values(Start{"Zero", 0}, Start{"Minus17", -17}, Start{"TwoToThe40", int64_t{1} << 40},
                    Start{"AcrossTheEnd", std::numeric_limits<int64_t>::max() - 10}),
    start_name);

class InvalidTurns : public testing::TestWithParam<bool> {};

TEST_P(InvalidTurns, AreNaNWhereTheyMayOccur) {
  const uint64_t turns[] = {1, kInvalidTurns};
  float out[4];
  TableParams params;
  params.turns = turns;
  params.num_pairs = 2;
  params.num_rows = 1;
  params.start = 2;  // an even number of half turns
  params.may_be_invalid = GetParam();
  params.out = out;
  ASSERT_EQ(fill_table_cpu(params, 0, 1), Status::kSuccess);
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(std::isnan(out[1]), GetParam());
  EXPECT_EQ(std::isnan(out[3]), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Table, InvalidTurns, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& info) {
                           return std::string(info.param ? "MayOccur" : "MeanHalfATurn");
                         });

TEST(TableTest, OfNoRowsWritesNothing) {
  TableParams params;
  params.num_pairs = 4;
  EXPECT_EQ(fill_table_cpu(params, 0, 0), Status::kSuccess);
}

}  // namespace
}  // namespace rope::test
