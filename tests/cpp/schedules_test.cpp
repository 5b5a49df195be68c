// The schedules and the double-double arithmetic below them, against values made by mpmath.
// The Python tests compare whole schedules with mpmath; these need neither Python nor torch.
//
// Every expected frequency is the float64 nearest to the formula at 300 bits, printed by
//   python -c "from mpmath import *; mp.prec = 300; x = FORMULA; mp.prec = 53;
//   print(float(+x).hex())"
// where FORMULA is given at each table. EXPECT_EQ compares floating-point values exactly.

#include <rope/schedules.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "double_double.h"
#include "schedule_refusals.h"

namespace {

using rope::double_double::DoubleDouble;
using rope::schedules::Schedule;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// ---- default: FORMULA = mpf('BASE') ** (-mpf(2 * PAIR) / DIM)

struct Frequency {
  int64_t dim;
  double base;
  int pair;
  double expected;
};

const Frequency kPlain[] = {
    {2, 1e4, 0, 1.0},
    {64, 1e4, 1, 0x1.7ff2224115d9ap-1},
    {64, 1e4, 16, 0x1.47ae147ae147bp-7},
    {64, 1e4, 31, 0x1.17a8e301c4436p-13},
    {128, 1e4, 1, 0x1.bb5fad00ab22cp-1},
    {128, 1e4, 63, 0x1.e459c57e28a47p-14},
    {64, 5e5, 1, 0x1.53c38a9afacap-1},
    {64, 5e5, 31, 0x1.948360a975f3dp-19},
    {128, 5e5, 37, 0x1.09fb7de6f8595p-11},
    {1024, 5e5, 1, 0x1.f30b5bd0554d6p-1},
    {1024, 5e5, 511, 0x1.13677ea66b0dp-19},
    {96, 1e6, 1, 0x1.7ff2224115d9ap-1},
    {96, 1e6, 47, 0x1.65f6e520fb379p-20},
    {128, 1e6, 63, 0x1.4d1c97f4e952fp-20},
    {128, 1e7, 63, 0x1.14406b817eb5ep-23},
    {1024, 1e7, 511, 0x1.bb3b8e66482fdp-24},
    {96, 500.5, 29, 0x1.7f4acd2461c87p-6},
    {1024, 500.5, 511, 0x1.0914a9209ef2fp-9},
};

// For each base, the pair of all dims up to 1024 whose exact value comes nearest to half-way
// between two float64: within 2^-16 to 2^-19 of their distance, which 64 bits of precision do not
// tell apart.
const Frequency kNearHalfWay[] = {
    {848, 1e4, 149, 0x1.41e807a5a0c52p-5},   {1010, 5e5, 444, 0x1.477816ccd49c6p-17},
    {734, 1e6, 13, 0x1.39dc25ac89c63p-1},    {436, 1e7, 157, 0x1.311dc97598965p-17},
    {710, 500.5, 341, 0x1.4ea08f07c2a74p-9},
};

std::string frequency_name(const testing::TestParamInfo<Frequency>& info) {
  const auto tenths = static_cast<int64_t>(info.param.base * 10.0);
  return "d" + std::to_string(info.param.dim) + "_base" + std::to_string(tenths / 10) + "_" +
         std::to_string(tenths % 10) + "_pair" + std::to_string(info.param.pair);
}

class DefaultSchedule : public testing::TestWithParam<Frequency> {};

TEST_P(DefaultSchedule, IsNearestFloat64) {
  const Frequency& frequency = GetParam();
  const Schedule schedule = rope::schedules::default_(frequency.dim, frequency.base);
  ASSERT_EQ(schedule.inv_freq.size(), static_cast<std::size_t>(frequency.dim / 2));
  EXPECT_EQ(schedule.inv_freq.at(static_cast<std::size_t>(frequency.pair)), frequency.expected);
  EXPECT_EQ(schedule.attention_factor, 1.0);
}

INSTANTIATE_TEST_SUITE_P(Plain, DefaultSchedule, testing::ValuesIn(kPlain), frequency_name);
INSTANTIATE_TEST_SUITE_P(NearHalfWay, DefaultSchedule, testing::ValuesIn(kNearHalfWay),
                         frequency_name);

// Powers of two are exact; the extremes of float64 stay finite.
TEST(DefaultScheduleEdges, BaseOne) {
  EXPECT_EQ(rope::schedules::default_(4, 1.0).inv_freq, (std::vector<double>{1.0, 1.0}));
}
TEST(DefaultScheduleEdges, BaseBelowOneRises) {
  EXPECT_EQ(rope::schedules::default_(4, 0x1p-10).inv_freq, (std::vector<double>{1.0, 0x1p5}));
}
TEST(DefaultScheduleEdges, PowerOfTwo) {
  EXPECT_EQ(rope::schedules::default_(8, 0x1p20).inv_freq,
            (std::vector<double>{1.0, 0x1p-5, 0x1p-10, 0x1p-15}));
}
TEST(DefaultScheduleEdges, SmallestBase) {
  EXPECT_EQ(rope::schedules::default_(4, 0x1p-1074).inv_freq, (std::vector<double>{1.0, 0x1p537}));
}
TEST(DefaultScheduleEdges, LargestBase) {
  const double last = rope::schedules::default_(1024, 0x1p1023).inv_freq.back();
  EXPECT_EQ(last, 0x1.ff4eaca4391b6p-1022);  // 2^(−1023 · 511/512), as at the tables
}

// ---- the schemes that scale: FORMULAs with f = mpf('BASE') ** (-mpf(2 * PAIR) / DIM)

// f / mpf('FACTOR')
TEST(LinearSchedule, DividesEveryFrequency) {
  const Schedule schedule = rope::schedules::linear(64, 1e4, 4.0);
  ASSERT_EQ(schedule.inv_freq.size(), 32u);
  EXPECT_EQ(schedule.inv_freq[0], 0.25);
  EXPECT_EQ(schedule.inv_freq[1], 0x1.7ff2224115d9ap-3);
  EXPECT_EQ(schedule.inv_freq[31], 0x1.17a8e301c4436p-15);
}
TEST(LinearSchedule, RoundsOnce) {  // mpf(3.7), the float64
  const Schedule schedule = rope::schedules::linear(64, 1e4, 3.7);
  EXPECT_EQ(schedule.inv_freq[1], 0x1.9f139aa73a375p-3);
  EXPECT_EQ(schedule.inv_freq[31], 0x1.2e55b72481264p-15);
}

// (mpf('BASE') * mpf('ALPHA') ** (mpf(DIM) / (DIM - 2))) ** (-mpf(2 * PAIR) / DIM)
TEST(NtkSchedule, StretchesTheBase) {
  const Schedule schedule = rope::schedules::ntk(64, 1e4, 8.0);
  ASSERT_EQ(schedule.inv_freq.size(), 32u);
  EXPECT_EQ(schedule.inv_freq[0], 1.0);
  EXPECT_EQ(schedule.inv_freq[1], 0x1.670938df52927p-1);
  EXPECT_EQ(schedule.inv_freq[16], 0x1.c01ff1f37f1c9p-9);
  EXPECT_EQ(schedule.inv_freq[31], 0x1.17a8e301c4436p-16);  // the plain one by 8
}
TEST(NtkSchedule, SmallestDim) {
  EXPECT_EQ(rope::schedules::ntk(4, 1e4, 2.5).inv_freq,
            (std::vector<double>{1.0, 0x1.0624dd2f1a9fcp-8}));
}

// Llama-3.2-1B. Pairs 0 … 14: f; 18 … 31: f / 32; between, with t = (8192 * f / (2 * pi) - 1) / 3:
// (1 - t) * f / 32 + t * f
TEST(Llama3Schedule, IsThatOfLlama32) {
  const Schedule schedule = rope::schedules::llama3(64, 5e5, 32.0, 1.0, 4.0, 8192.0);
  ASSERT_EQ(schedule.inv_freq.size(), 32u);
  EXPECT_EQ(schedule.inv_freq[0], 1.0);
  EXPECT_EQ(schedule.inv_freq[14], 0x1.a4ee3f0a6907bp-9);
  EXPECT_EQ(schedule.inv_freq[15], 0x1.524f349512c06p-10);
  EXPECT_EQ(schedule.inv_freq[16], 0x1.c26c4649b73c1p-12);
  EXPECT_EQ(schedule.inv_freq[17], 0x1.9731f24fdcc7ep-14);
  EXPECT_EQ(schedule.inv_freq[18], 0x1.4683197ad3991p-16);
  EXPECT_EQ(schedule.inv_freq[31], 0x1.948360a975f3dp-24);
  EXPECT_EQ(schedule.attention_factor, 1.0);
}

// Llama 4 Scout has no band between: pairs 0 … 34 are f, 35 … 63 are f / 16.
TEST(Llama3Schedule, StepsWhereLowIsHigh) {
  const Schedule schedule = rope::schedules::llama3(128, 5e5, 16.0, 1.0, 1.0, 8192.0);
  EXPECT_EQ(schedule.inv_freq[34], 0x1.ec07d4a69338fp-11);
  EXPECT_EQ(schedule.inv_freq[35], 0x1.90d10c806f8c1p-15);
}

// ---- errors

class ScheduleRefusal : public testing::TestWithParam<Refusal> {};

TEST_P(ScheduleRefusal, NamesSchemeRuleAndValue) {
  expect_refused(GetParam());
}

using namespace rope::schedules;

const Refusal kRefusals[] = {
    {"odd_dim", [] { return default_(63, 1e4); },
     "default: dim must be even and between 2 and 1024, got 63"},
    {"zero_dim", [] { return linear(0, 1e4, 2.0); },
     "linear: dim must be even and between 2 and 1024, got 0"},
    {"negative_dim", [] { return default_(std::numeric_limits<int64_t>::min(), 1e4); },
     "default: dim must be even and between 2 and 1024, got -9223372036854775808"},
    {"wide_dim", [] { return llama3(1026, 1e4, 8.0, 1.0, 4.0, 8192.0); },
     "llama3: dim must be even and between 2 and 1024, got 1026"},
    {"zero_base", [] { return default_(64, 0.0); },
     "default: base must be positive and finite, got 0"},
    {"negative_base", [] { return ntk(64, -0.1, 8.0); },
     "ntk: base must be positive and finite, got -0.1"},
    {"infinite_base", [] { return default_(64, kInfinity); },
     "default: base must be positive and finite, got inf"},
    {"nan_base", [] { return default_(64, kNaN); },
     "default: base must be positive and finite, got nan"},
    {"base_too_small", [] { return default_(1024, 0x1p-1074); },
     "default: every frequency must be at most the largest float64, got inf for pair 489"},
    {"zero_factor", [] { return linear(64, 1e4, 0.0); },
     "linear: factor must be positive and finite, got 0"},
    {"factor_too_small", [] { return linear(64, 1e4, 1e-320); },
     "linear: every frequency must be at most the largest float64, got inf for pair 0"},
    {"negative_alpha", [] { return ntk(64, 1e4, -1.0); },
     "ntk: alpha must be positive and finite, got -1"},
    {"ntk_of_one_pair", [] { return ntk(2, 1e4, 8.0); },
     "ntk: dim must be at least 4, since the base is scaled by a power dim / (dim - 2), got 2"},
    {"llama3_factor", [] { return llama3(64, 5e5, kNaN, 1.0, 4.0, 8192.0); },
     "llama3: factor must be positive and finite, got nan"},
    {"llama3_low", [] { return llama3(64, 5e5, 32.0, 0.0, 4.0, 8192.0); },
     "llama3: low_freq_factor must be positive and finite, got 0"},
    {"llama3_high", [] { return llama3(64, 5e5, 32.0, 1.0, kInfinity, 8192.0); },
     "llama3: high_freq_factor must be positive and finite, got inf"},
    {"llama3_length", [] { return llama3(64, 5e5, 32.0, 1.0, 4.0, -8192.0); },
     "llama3: original_max_position_embeddings must be positive and finite, got -8192"},
    {"llama3_low_above_high", [] { return llama3(64, 5e5, 32.0, 4.0, 1.0, 8192.0); },
     "llama3: low_freq_factor must be at most high_freq_factor, got 4 and 1"},
};

INSTANTIATE_TEST_SUITE_P(Every, ScheduleRefusal, testing::ValuesIn(kRefusals), refusal_name);

// ---- double-double arithmetic. x is a float64; expected is the value at 300 bits, h = its
// float64, and the float64 of the value less h.

struct DoubleDoubleCase {
  const char* name;
  DoubleDouble result;
  DoubleDouble expected;
};

namespace dd = rope::double_double;

const DoubleDoubleCase kDoubleDoubleCases[] = {
    {"exp_upper", dd::exp(0.7), {0x1.01c2a61268987p+1, -0x1.ce82f8a77f53p-53}},
    {"exp_lower", dd::exp(-0.7), {0x1.fc80db9dd5542p-2, 0x1.6a92966c1fc73p-57}},
    {"exp_quarter", dd::exp(0.25), {0x1.48b5e3c3e8186p+0, 0x1.9d9ef0eda6eabp-54}},
    {"exp_small", dd::exp(-0x1p-10), {0x1.ff800ffeaacp-1, -0x1.1105b0c308f0ap-57}},
    {"log_lower", dd::log(0.71), {-0x1.5eb5c7907e4cap-2, 0x1.1969a08e5cda6p-56}},
    {"log_upper", dd::log(1.41), {0x1.5fd5fabe64084p-2, -0x1.2752864b08ed4p-59}},
    {"log_small", dd::log(1.0 + 0x1p-10), {0x1.ffc00aa8ab11p-11, -0x1.0fecbeb9b6cdbp-65}},
    {"log_of_exp", dd::log(dd::exp(0.25)), {0.25, 0.0}},
    {"quotient_times_divisor", DoubleDouble(1.0) / 3.0 * 3.0, {1.0, 0.0}},
    {"sum_that_cancels", (DoubleDouble(1.0) + 0x1p-70) - 1.0, {0x1p-70, 0.0}},
};

std::string double_double_name(const testing::TestParamInfo<DoubleDoubleCase>& info) {
  return info.param.name;
}

class DoubleDoubleResult : public testing::TestWithParam<DoubleDoubleCase> {};

TEST_P(DoubleDoubleResult, HasAtLeast98Bits) {
  const auto& [name, result, expected] = GetParam();
  // Both highs are the nearest float64 of nearly the same number, so that their difference is
  // exact.
  const double error = (result.high - expected.high) + (result.low - expected.low);
  EXPECT_LE(std::fabs(error), 0x1p-98 * std::fabs(expected.high));
}

INSTANTIATE_TEST_SUITE_P(Every, DoubleDoubleResult, testing::ValuesIn(kDoubleDoubleCases),
                         double_double_name);

}  // namespace
