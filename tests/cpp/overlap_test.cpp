// csrc/overlap.h against brute force: every byte of small random views, put into a set.
#include "overlap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <vector>

namespace rope::glue {
namespace {

constexpr int kMaxTestRank = 4;

struct Array {
  int64_t address = 0;
  int64_t item_bytes = 1;
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;

  View view() const {
    return {address, item_bytes, static_cast<int64_t>(sizes.size()), sizes.data(), strides.data()};
  }

  std::vector<int64_t> items() const {
    std::vector<int64_t> items = {address};
    for (size_t d = 0; d < sizes.size(); ++d) {
      std::vector<int64_t> longer;
      for (const int64_t item : items) {
        for (int64_t i = 0; i < sizes[d]; ++i) longer.push_back(item + i * strides[d] * item_bytes);
      }
      items = longer;
    }
    return items;
  }

  std::set<int64_t> bytes() const {
    std::set<int64_t> bytes;
    for (const int64_t item : items()) {
      for (int64_t b = 0; b < item_bytes; ++b) bytes.insert(item + b);
    }
    return bytes;
  }
};

class Source {
 public:
  explicit Source(uint32_t seed) : engine_(seed) {}

  int64_t number(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(engine_);
  }

  // Half of the arrays have strides that nest; the others' are anything, 0 included.
  Array array() {
    Array array;
    array.address = number(1000, 1100);
    array.item_bytes = int64_t{1} << number(0, 3);
    const bool is_nested = number(0, 1) == 1;
    int64_t reach = 0;
    for (int64_t d = number(0, kMaxTestRank); d > 0; --d) {
      array.sizes.push_back(number(0, 19) == 0 ? 0 : number(1, 4));
      array.strides.push_back(is_nested ? reach + 1 + number(0, 3) : number(0, 12));
      reach += array.strides.back() * std::max<int64_t>(array.sizes.back() - 1, 0);
    }
    return array;
  }

 private:
  std::mt19937 engine_;
};

class OverlapTest : public testing::TestWithParam<uint32_t> {};

TEST_P(OverlapTest, WithinIsExact) {
  Source source(GetParam());
  for (int i = 0; i < 2000; ++i) {
    const Array a = source.array();
    const std::vector<int64_t> items = a.items();
    const std::set<int64_t> distinct(items.begin(), items.end());
    const Overlap expected = distinct.size() == items.size() ? Overlap::kNone : Overlap::kSome;
    ASSERT_EQ(overlap_within(a.view()), expected) << "array " << i;
  }
}

TEST_P(OverlapTest, BetweenIsExact) {
  Source source(GetParam());
  for (int i = 0; i < 2000; ++i) {
    const Array a = source.array();
    const Array b = source.array();
    const std::set<int64_t> bytes = a.bytes();
    const std::set<int64_t> others = b.bytes();
    const bool shares = std::any_of(others.begin(), others.end(),
                                    [&bytes](int64_t byte) { return bytes.count(byte) != 0; });
    ASSERT_EQ(overlap_between(a.view(), b.view()), shares ? Overlap::kSome : Overlap::kNone)
        << "pair " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, OverlapTest, testing::Values(1, 2, 3, 4));

TEST(Overlap, SlicesOfAPackedProjectionAreApart) {
  // (B, S, Hq, D) and (B, S, Hk, D) in rows of Hq + Hk + Hv heads, as large as they get.
  const std::array<int64_t, 4> strides = {int64_t{1} << 40, 48 * 128, 128, 1};
  const std::array<int64_t, 4> q = {64, 1 << 20, 32, 128};
  const std::array<int64_t, 4> k = {64, 1 << 20, 8, 128};
  const View q_view = {0, 2, 4, q.data(), strides.data()};
  const View k_view = {32 * 128 * 2, 2, 4, k.data(), strides.data()};
  EXPECT_EQ(overlap_within(q_view), Overlap::kNone);
  EXPECT_EQ(overlap_between(q_view, k_view), Overlap::kNone);
  const View one_head_off = {31 * 128 * 2, 2, 4, k.data(), strides.data()};
  EXPECT_EQ(overlap_between(q_view, one_head_off), Overlap::kSome);
}

TEST(Overlap, EndlessSearchesAreGivenUp) {
  // Strides with a common factor, and an odd target that no sum of them reaches.
  const std::array<int64_t, 3> sizes = {1000, 1000, 1000};
  const std::array<int64_t, 3> a = {6, 10, 14};
  const std::array<int64_t, 3> b = {22, 26, 34};
  const View a_view = {0, 1, 3, sizes.data(), a.data()};
  const View b_view = {1, 1, 3, sizes.data(), b.data()};
  EXPECT_EQ(overlap_between(a_view, b_view), Overlap::kUnknown);
}

}  // namespace
}  // namespace rope::glue
