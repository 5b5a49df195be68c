// Phase → cosine and sine (kernels/phase.h) against the C library's long double, with the exact
// properties that the numeric contract promises. The exhaustive test visits every leading word.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "phase.h"
#include "reference.h"

namespace rope {
namespace {

constexpr uint64_t kEighth = uint64_t{1} << 61;
// The contract: 0.50 is the rounding to a float32, the rest what a short polynomial costs.
constexpr long double kBound = 0.75L * 0x1p-24L;

long double error_of(uint64_t phase) {
  const CosSin got = cos_sin(phase);
  const test::LongCosSin exact = test::long_cos_sin(phase);
  return std::max(std::fabs(got.cos - exact.cos), std::fabs(got.sin - exact.sin));
}

bool same_bits(float a, float b) {
  return bit_cast<uint32_t>(a) == bit_cast<uint32_t>(b);
}

TEST(CosSinTest, IsWithinTheBoundInEveryStratum) {
  constexpr int kStrataBits = 20;
  std::mt19937_64 random(5);
  for (uint64_t stratum = 0; stratum < uint64_t{1} << kStrataBits; ++stratum) {
    const uint64_t phase = stratum << (64 - kStrataBits) | random() >> kStrataBits;
    ASSERT_LE(error_of(phase), kBound) << std::hex << phase;
  }
}

// Both sides of every eighth of a turn, where the quadrant changes, at all distances.
class NearEighth : public testing::TestWithParam<int> {};

TEST_P(NearEighth, IsWithinTheBound) {
  const uint64_t eighth = static_cast<uint64_t>(GetParam()) * kEighth;
  std::mt19937_64 random(6);
  for (int i = 0; i < 40000; ++i) {
    const uint64_t distance = random() >> (random() % 62 + 2);
    ASSERT_LE(error_of(eighth + distance), kBound) << std::hex << eighth + distance;
    ASSERT_LE(error_of(eighth - distance), kBound) << std::hex << eighth - distance;
  }
}

// A small sine keeps its relative precision only to first order in the phase's tail; the contract
// is absolute. Next to zero the sine is nevertheless the angle: its first term is not lost.
TEST(CosSinTest, OfATinyPhaseIsTheAngle) {
  for (int bit = 0; bit < 40; ++bit) {
    const uint64_t phase = uint64_t{1} << bit;
    const auto angle = static_cast<float>(static_cast<long double>(phase) * 2 * test::kPi);
    EXPECT_EQ(cos_sin(phase).cos, 1.0f) << bit;
    EXPECT_NEAR(cos_sin(phase).sin, std::ldexp(angle, -64), std::ldexp(angle, -64 - 22)) << bit;
  }
}

TEST_P(NearEighth, HasExactlyNegatedSinesAtNegatedPhases) {
  const uint64_t eighth = static_cast<uint64_t>(GetParam()) * kEighth;
  std::mt19937_64 random(7);
  for (int i = 0; i < 100000; ++i) {
    const uint64_t phase = eighth + (random() >> (random() % 62 + 2));
    const CosSin one = cos_sin(phase);
    const CosSin other = cos_sin(uint64_t{0} - phase);
    if (phase == uint64_t{1} << 63) continue;  // half a turn is its own negation
    ASSERT_TRUE(same_bits(one.cos, other.cos)) << std::hex << phase;
    ASSERT_TRUE(same_bits(negate(one.sin), other.sin)) << std::hex << phase;
  }
}

std::string eighth_name(const testing::TestParamInfo<int>& info) {
  return std::to_string(info.param) + "_8";
}

INSTANTIATE_TEST_SUITE_P(Turns, NearEighth, testing::Range(0, 8), eighth_name);

struct ExactPoint {
  const char* name;
  uint64_t phase;
  CosSin expected;
};

std::string point_name(const testing::TestParamInfo<ExactPoint>& info) {
  return info.param.name;
}

class ExactCosSin : public testing::TestWithParam<ExactPoint> {};

TEST_P(ExactCosSin, HasTheBits) {
  const CosSin got = cos_sin(GetParam().phase);
  EXPECT_TRUE(same_bits(got.cos, GetParam().expected.cos)) << got.cos;
  EXPECT_TRUE(same_bits(got.sin, GetParam().expected.sin)) << got.sin;
}

INSTANTIATE_TEST_SUITE_P(At, ExactCosSin,
                         testing::Values(ExactPoint{"Zero", 0, {1.0f, 0.0f}},
                                         ExactPoint{"QuarterTurn", 2 * kEighth, {0.0f, 1.0f}},
                                         ExactPoint{"HalfTurn", 4 * kEighth, {-1.0f, 0.0f}},
                                         ExactPoint{
                                             "MinusQuarterTurn", 6 * kEighth, {0.0f, -1.0f}}),
                         point_name);

// Positions of any sign and size: the product wraps as phases do.
TEST(PhaseTest, AddsUpModuloOneTurn) {
  std::mt19937_64 random(8);
  for (int i = 0; i < 100000; ++i) {
    const uint64_t turns = random();
    const uint64_t a = random();
    const uint64_t b = random();
    ASSERT_EQ(a * turns + b * turns, (a + b) * turns);
    // The 128-bit product of the signed position, reduced.
    const auto wide = static_cast<__int128>(static_cast<int64_t>(a)) * static_cast<int64_t>(turns);
    ASSERT_EQ(a * turns, static_cast<uint64_t>(static_cast<unsigned __int128>(wide)));
  }
}

}  // namespace
}  // namespace rope
