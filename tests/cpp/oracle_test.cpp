// The CPU backend against naive.h, in long double, within the bounds of the numeric contract; and
// the guarantees about whole calls that need no tolerance.
#include <rope/kernels.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "call.h"
#include "naive.h"

namespace rope::test {
namespace {

class Oracle : public testing::TestWithParam<Case> {};

TEST_P(Oracle, AgreesWithTheCpu) {
  Call call = make_call(GetParam());
  const std::vector<Expectation> expectations = NaiveRotation(call.params).expectations();
  ASSERT_EQ(run_cpu(call.params), Status::kSuccess);
  EXPECT_EQ(first_unmet(call.params.dtype, expectations), "");
}

INSTANTIATE_TEST_SUITE_P(Corpus, Oracle, testing::ValuesIn(corpus()), case_name);

class RandomCall : public testing::TestWithParam<Case> {};

// The order is that of a thread pool at its worst: the last slice first.
TEST_P(RandomCall, IsTheSameInSlices) {
  Call whole = make_call(GetParam());
  ASSERT_EQ(run_cpu(whole.params), Status::kSuccess);
  Call sliced = make_call(GetParam());
  const int64_t count = GetParam().batches * GetParam().tokens;
  for (int64_t last = count; last > 0; last -= 3) {
    const int64_t first = last > 3 ? last - 3 : 0;
    ASSERT_EQ(run_cpu(sliced.params, first, last), Status::kSuccess);
  }
  EXPECT_EQ(first_difference(whole, sliced), "");
}

INSTANTIATE_TEST_SUITE_P(Corpus, RandomCall, testing::ValuesIn(random_cases()), case_name);

void negate_positions(const Params& params) {
  const int64_t count = params.num_batches * params.num_tokens;
  auto* const positions = static_cast<int64_t*>(const_cast<void*>(params.axes[0].positions));
  for (int64_t i = 0; i < count; ++i) {
    positions[i] = static_cast<int64_t>(uint64_t{0} - static_cast<uint64_t>(positions[i]));
  }
}

std::vector<Case> computed_cases() {
  std::vector<Case> cases;
  for (const Dtype dtype : {Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16}) {
    for (const Pairing pairing : {Pairing::kSplit, Pairing::kInterleaved}) {
      for (const int32_t rotary_dim : {6, 64, 1024}) {
        Case one;
        one.dtype = dtype;
        one.pairing = pairing;
        one.rotary_dim = rotary_dim;
        one.positions = Positions::kAnyInt64;
        cases.push_back(one);
      }
    }
  }
  return cases;
}

class ComputedCall : public testing::TestWithParam<Case> {};

// Compares q and k alone: the positions differ on purpose.
std::string first_difference_of_data(const Call& expected, Call& got) {
  for (size_t i = 0; i < got.blocks.size(); ++i) {
    const Block& from = expected.blocks[i];
    if (!from.holds_data()) std::memcpy(got.blocks[i].data(), from.data(), from.size());
  }
  return first_difference(expected, got);
}

TEST_P(ComputedCall, OfTheInverseIsThatOfNegatedPositions) {
  Case spec = GetParam();
  Call negated = make_call(spec);
  negate_positions(negated.params);
  ASSERT_EQ(run_cpu(negated.params), Status::kSuccess);
  spec.inverse = true;
  Call inverse = make_call(spec);
  ASSERT_EQ(run_cpu(inverse.params), Status::kSuccess);
  EXPECT_EQ(first_difference_of_data(inverse, negated), "");
}

// Guarantee 3 of the numeric contract: the cached table is a matter of speed alone.
TEST_P(ComputedCall, HasTheBitsOfItsCachedTable) {
  Case spec = GetParam();
  spec.positions = Positions::kInt64;  // 0 … 63
  spec.attention_factor = 1.2079441f;
  Call computed = make_call(spec);
  ASSERT_EQ(run_cpu(computed.params), Status::kSuccess);

  Call cached = make_call(spec);
  const Frequencies& frequencies = cached.params.frequencies;
  TableParams fill;
  fill.turns = frequencies.turns;
  fill.num_pairs = spec.rotary_dim / 2;
  fill.num_rows = 50;  // the last positions have no row
  fill.attention_factor = frequencies.attention_factor;
  std::vector<float> rows(static_cast<size_t>(fill.num_rows * spec.rotary_dim));
  fill.out = rows.data();
  ASSERT_EQ(fill_table_cpu(fill, 0, fill.num_rows), Status::kSuccess);
  Table& table = cached.params.table;
  table.cos = rows.data();
  table.sin = rows.data() + fill.num_pairs;
  table.num_rows = fill.num_rows;
  table.stride.token = spec.rotary_dim;
  ASSERT_EQ(run_cpu(cached.params), Status::kSuccess);
  EXPECT_EQ(first_difference(computed, cached), "");
}

INSTANTIATE_TEST_SUITE_P(Of, ComputedCall, testing::ValuesIn(computed_cases()), case_name);

}  // namespace
}  // namespace rope::test
