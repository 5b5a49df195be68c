// The schedules that extend a model's context or have several axes, against values made by mpmath,
// as schedules_test.cpp makes them; and the defaults, which Python's builders do not use.
//
// f stands for mpf('BASE') ** (-mpf(2 * PAIR) / DIM).

#include <rope/schedules.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "schedule_refusals.h"

namespace {

using namespace rope::schedules;

using Pairs = std::initializer_list<std::pair<std::size_t, double>>;

void expect_pairs(const Schedule& schedule, std::size_t num_pairs, Pairs expected) {
  EXPECT_EQ(schedule.num_axes, 1);
  ASSERT_EQ(schedule.inv_freq.size(), num_pairs);
  for (const auto& [pair, value] : expected) EXPECT_EQ(schedule.inv_freq[pair], value) << pair;
}

// ---- YaRN: with low and high as the header has them, t = min(max((PAIR - low) / (high - low), 0),
// 1): t * f / FACTOR + (1 - t) * f

// 4096 positions: the pairs 0 … 10 turn more than 32 times, 23 … 31 less than once.
TEST(YarnSchedule, IsThatOfDeepSeekV3) {
  const Schedule schedule = yarn(64, 1e4, 40.0, 4096.0, 32.0, 1.0, 1.0, 1.0);
  expect_pairs(schedule, 32,
               {{0, 1.0},
                {10, 0x1.ccab8602d2697p-5},
                {11, 0x1.3f8b743d8c22cp-5},
                {16, 0x1.6872b020c49bap-8},
                {22, 0x1.74eea61c12623p-13},
                {23, 0x1.17a8e301c4436p-15},
                {31, 0x1.bf749e693a057p-19}});
  EXPECT_EQ(schedule.attention_factor, 1.0);
}

// low = 8.0928…, high = 17.3980… are not rounded.
TEST(YarnSchedule, IsThatOfGptOss) {
  const std::optional<double> none;
  const Schedule schedule = yarn(64, 150000.0, 32.0, 4096.0, 32.0, 1.0, none, none, false);
  expect_pairs(schedule, 32,
               {{0, 1.0},
                {8, 0x1.a04329311f45dp-5},
                {9, 0x1.03bbaa06b8abdp-5},
                {17, 0x1.0f3372f6a69a2p-13},
                {18, 0x1.415b8c535b893p-15},
                {31, 0x1.44a5a6386947dp-22}});
  EXPECT_EQ(schedule.attention_factor, 0x1.58b90bfbe8e7cp+0);  // mpf('0.1') * log(32) + 1
}

TEST(YarnSchedule, DefaultsAreThoseOfQwen) {
  const Schedule schedule = yarn(128, 1e6, 4.0, 32768.0);
  expect_pairs(schedule, 64,
               {{23, 0x1.c9548b66b624bp-8},
                {30, 0x1.17040e6c20ec5p-10},
                {39, 0x1.103a140fc05e8p-14},
                {40, 0x1.74eea61c12623p-15},
                {63, 0x1.4d1c97f4e952fp-22}});
  EXPECT_EQ(schedule.attention_factor, 0x1.237d37fe5d298p+0);  // mpf('0.1') * log(4) + 1
}

struct AttentionFactor {
  const char* name;
  std::optional<double> mscale, mscale_all_dim, given;
  double expected;
};

std::string attention_factor_name(const testing::TestParamInfo<AttentionFactor>& info) {
  return info.param.name;
}

class YarnAttentionFactor : public testing::TestWithParam<AttentionFactor> {};

TEST_P(YarnAttentionFactor, IsGivenOrOfBothMscalesOrOfTheFactor) {
  const auto& [name, mscale, mscale_all_dim, given, expected] = GetParam();
  const Schedule schedule =
      yarn(64, 1e4, 40.0, 4096.0, 32.0, 1.0, mscale, mscale_all_dim, true, given);
  EXPECT_EQ(schedule.attention_factor, expected);
}

// m(k) = mpf(k) * log(mpf(40)) / 10 + 1
const AttentionFactor kAttentionFactors[] = {
    {"none", {}, {}, {}, 0x1.5e6f70bd6e39cp+0},              // m(1)
    {"mscale_alone", 0.8, {}, {}, 0x1.5e6f70bd6e39cp+0},     // m(1)
    {"all_dim_alone", {}, 0.3, {}, 0x1.5e6f70bd6e39cp+0},    // m(1)
    {"deepseek_v2", 0.707, 0.707, {}, 1.0},                  // m(.707) / m(.707)
    {"unlike_mscales", 0.8, 0.3, {}, 0x1.2a834de4a0965p+0},  // m(0.8) / m(0.3)
    {"given", 0.8, 0.3, 1.25, 1.25},
};

INSTANTIATE_TEST_SUITE_P(Every, YarnAttentionFactor, testing::ValuesIn(kAttentionFactors),
                         attention_factor_name);

TEST(YarnSchedule, FactorsBelowOneKeepLengths) {
  EXPECT_EQ(yarn(64, 1e4, 0.5, 4096.0, 32.0, 1.0, 0.8, 0.3).attention_factor, 1.0);
}

// ---- LongRoPE: f / mpf(DIVISOR)

constexpr double kShortLast = 0x1.0624dd2f1a9fcp-7;  // DIVISOR = 1.25
constexpr double kLongLast = 0x1.b4e81b4e81b4fp-9;   // DIVISOR = 3
constexpr double kTimes32 = 0x1.30b3713738289p+0;    // sqrt(1 + log(mpf(32)) / log(mpf(4096)))

Schedule longrope_of(std::optional<double> max_position_embeddings, std::optional<double> factor,
                     std::optional<double> seq_len) {
  return longrope(4, 1e4, {1.0, 1.25}, {2.0, 3.0}, 4096.0, max_position_embeddings, factor,
                  seq_len);
}

TEST(LongropeSchedule, HasTheShortFactorsUpToTheOriginalLength) {
  expect_pairs(longrope(4, 1e4, {1.0, 1.25}, {2.0, 3.0}, 4096.0), 2, {{0, 1.0}, {1, kShortLast}});
  expect_pairs(longrope_of({}, {}, 4096.0), 2, {{0, 1.0}, {1, kShortLast}});
}
TEST(LongropeSchedule, HasTheLongFactorsBeyond) {
  expect_pairs(longrope_of({}, {}, 4097.0), 2, {{0, 0.5}, {1, kLongLast}});
}
TEST(LongropeSchedule, AttentionFactorIsThatOfTheStretch) {
  EXPECT_EQ(longrope_of({}, {}, 4097.0).attention_factor, 1.0);
  EXPECT_EQ(longrope_of(131072.0, {}, {}).attention_factor, kTimes32);
  EXPECT_EQ(longrope_of(8192.0, 32.0, {}).attention_factor, kTimes32);
  EXPECT_EQ(longrope(4, 1e4, {1.0, 1.25}, {2.0, 3.0}, 4096.0, {}, 32.0, {}, 1.5).attention_factor,
            1.5);
}

// ---- dynamic NTK: (mpf('BASE') * alpha ** (mpf(DIM) / (DIM - 2))) ** (-mpf(2 * PAIR) / DIM)

TEST(DynamicNtkSchedule, GrowsWithTheSequence) {  // alpha = 3
  expect_pairs(dynamic_ntk(128, 1e4, 2.0, 4096.0, 8192.0), 64,
               {{0, 1.0},
                {1, 0x1.b3b58614c9541p-1},
                {37, 0x1.4eceda93731a7p-9},
                {63, 0x1.42e683a9706dap-15}});
}
TEST(DynamicNtkSchedule, RoundsOnce) {  // alpha = mpf(3.7) * 5000 / 4096 - (mpf(3.7) - 1)
  expect_pairs(dynamic_ntk(128, 1e4, 3.7, 4096.0, 5000.0), 64,
               {{1, 0x1.b7313b45416bfp-1}, {63, 0x1.0a9fe5f55a626p-14}});
}
TEST(DynamicNtkSchedule, IsPlainUpToTheTrainedLength) {
  EXPECT_EQ(dynamic_ntk(128, 1e4, 8.0, 4096.0, 4096.0).inv_freq, default_(128, 1e4).inv_freq);
}

// ---- proportional: f / FACTOR

TEST(ProportionalSchedule, IsThatOfGemma4) {
  const Schedule schedule = proportional(512, 1e6, 0.25);
  expect_pairs(
      schedule, 256,
      {{0, 1.0}, {1, 0x1.e519f071af75ap-1}, {63, 0x1.116b1022a873dp-5}, {64, 0.0}, {255, 0.0}});
}
TEST(ProportionalSchedule, DividesByTheFactor) {
  expect_pairs(proportional(512, 1e6, 0.25, 8.0), 256,
               {{1, 0x1.e519f071af75ap-4}, {63, 0x1.116b1022a873dp-8}, {64, 0.0}});
}

// ---- several axes. Letters: the axis of each pair.

void expect_axes(const Schedule& schedule, const std::string& letters,
                 const std::vector<double>& frequencies) {
  const std::size_t num_pairs = letters.size();
  ASSERT_EQ(frequencies.size(), num_pairs);
  ASSERT_EQ(schedule.inv_freq.size(), static_cast<std::size_t>(schedule.num_axes) * num_pairs);
  for (std::size_t i = 0; i < schedule.inv_freq.size(); ++i) {
    const std::size_t axis = i / num_pairs, pair = i % num_pairs;
    const bool turns = axis == std::string("thw").find(letters[pair]);
    EXPECT_EQ(schedule.inv_freq[i], turns ? frequencies[pair] : 0.0) << axis << ", " << pair;
  }
  EXPECT_EQ(schedule.attention_factor, 1.0);
}

TEST(MropeSchedule, IsInBlocks) {
  const Schedule schedule = mrope(12, 1e6, {2, 3, 1});
  EXPECT_EQ(schedule.num_axes, 3);
  expect_axes(schedule, "tthhhw", default_(12, 1e6).inv_freq);
}
TEST(MropeSchedule, IsInterleaved) {
  const Schedule schedule = mrope(14, 1e6, {4, 2, 1}, true);
  EXPECT_EQ(schedule.num_axes, 3);
  expect_axes(schedule, "thwthtt", default_(14, 1e6).inv_freq);
}

TEST(AxialSchedule, RestartsOnEveryAxis) {
  const Schedule schedule = axial({4, 2}, 1e4);
  EXPECT_EQ(schedule.num_axes, 2);
  expect_axes(schedule, "tth", {1.0, 0x1.47ae147ae147bp-7, 1.0});
}
TEST(AxialSchedule, SharesOneList) {
  const Schedule schedule = axial({4, 2}, 1e4, true);
  EXPECT_EQ(schedule.num_axes, 2);
  expect_axes(schedule, "tth", {1.0, 0x1.7c3d2c4d63ff5p-5, 0x1.1a62d511f2b53p-9});
}

// ---- lists of the wrong length or with entries that no list could have are not indexed

class ListRefusal : public testing::TestWithParam<Refusal> {};

TEST_P(ListRefusal, NamesSchemeRuleAndValue) {
  expect_refused(GetParam());
}

const Refusal kRefusals[] = {
    {"short_factor",
     [] {
       return longrope(4, 1e4, {}, {2.0, 3.0}, 4096.0);
     },
     "longrope: short_factor must have dim / 2 = 2 entries, got 0"},
    {"long_factor",
     [] {
       return longrope(4, 1e4, {1.0, 1.25}, {2.0, 3.0, 4.0}, 4096.0);
     },
     "longrope: long_factor must have dim / 2 = 2 entries, got 3"},
    {"no_sections", [] { return mrope(8, 1e4, {}); },
     "mrope: sections must be three counts (t, h, w) that sum to dim / 2 = 4, got []"},
    {"sections_that_wrap",
     [] {
       return mrope(8, 1e4, {INT64_MAX, INT64_MAX, 6});
     },
     "mrope: sections must be three counts (t, h, w) that sum to dim / 2 = 4, got "
     "[9223372036854775807, 9223372036854775807, 6]"},
    {"sections_too_long_to_interleave",
     [] {
       return mrope(12, 1e4, {1, 1, 4}, true);
     },
     "mrope: interleaved sections must fit by turns of three into dim / 2 = 6, got [1, 1, 4]"},
    {"no_axes", [] { return axial({}, 1e4); },
     "axial: axes_dim must have between 1 and 4 entries, got []"},
    {"axes_that_wrap",
     [] {
       return axial({INT64_MAX, INT64_MAX}, 1e4);
     },
     "axial: axes_dim[0] must be even and between 2 and 1024, got 9223372036854775807"},
};

INSTANTIATE_TEST_SUITE_P(Every, ListRefusal, testing::ValuesIn(kRefusals), refusal_name);

}  // namespace
