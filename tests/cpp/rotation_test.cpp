// One pair (kernels/rotation.h) against long double, with bounds that are derivations, and what
// becomes of zeros, infinities and NaN. u = 2^-24 is half a float's last place at 1.
#include "rotation.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "formats.h"
#include "phase.h"
#include "reference.h"

namespace rope {
namespace {

constexpr long double kUnit = 0x1p-24L;
constexpr long double kLeast = 0x1p-149L;  // the smallest subnormal

struct Pair {
  float x, y;
};

Pair rotated(Pair pair, const CosSin& angle) {
  rotate(pair.x, pair.y, angle.cos, angle.sin);
  return pair;
}

Pair inverse_rotated(Pair pair, const CosSin& angle) {
  return rotated(pair, {angle.cos, negate(angle.sin)});
}

long double norm(const Pair& pair) {
  return std::hypot(static_cast<long double>(pair.x), static_cast<long double>(pair.y));
}

// Significands and signs at random, exponents between first and last.
Pair random_pair(std::mt19937_64& random, int first, int last) {
  const auto one = [&] {
    const auto range = static_cast<uint64_t>(last - first + 1);
    const int exponent = first + static_cast<int>(random() % range);
    const float value =
        std::ldexp(1.0f + static_cast<float>(random() & 0x7fffff) * 0x1p-23f, exponent);
    return (random() & 1) != 0 ? -value : value;
  };
  const float x = one();
  return {x, one()};
}

// The product y·s is rounded once, by at most u·|y·s|, and the fused sum once, by half an ulp of
// the result; a subnormal product adds half the smallest subnormal.
void expect_close(float got, long double exact, long double product) {
  const long double bound =
      test::ulp(test::kFloat32Format, got) / 2 + kUnit * std::fabs(product) + kLeast / 2;
  ASSERT_LE(std::fabs(got - exact), bound) << std::hexfloat << got;
}

struct Magnitudes {
  const char* name;
  int first, last;
};

std::string magnitudes_name(const testing::TestParamInfo<Magnitudes>& info) {
  return info.param.name;
}

class RotatedPair : public testing::TestWithParam<Magnitudes> {
 protected:
  static constexpr int kDraws = 100000;
  std::mt19937_64 random{9};

  Pair draw() { return random_pair(random, GetParam().first, GetParam().last); }
};

TEST_P(RotatedPair, IsWithinOneProductAndHalfAnUlp) {
  for (int i = 0; i < kDraws; ++i) {
    const Pair pair = draw();
    const CosSin angle = cos_sin(random());
    const Pair got = rotated(pair, angle);
    const long double x = pair.x, y = pair.y, cosine = angle.cos, sine = angle.sin;
    ASSERT_NO_FATAL_FAILURE(expect_close(got.x, x * cosine - y * sine, y * sine));
    ASSERT_NO_FATAL_FAILURE(expect_close(got.y, x * sine + y * cosine, y * cosine));
  }
}

// A computed angle is off by 0.75·u on each side, at most √2·0.75·u·‖pair‖ of the sum, and the
// product by u·‖pair‖: 2.07 besides the last rounding, which is another u·‖pair‖ at most.
TEST_P(RotatedPair, IsWithinTheContract) {
  for (int i = 0; i < kDraws; ++i) {
    const Pair pair = draw();
    const uint64_t phase = random();
    const Pair got = rotated(pair, cos_sin(phase));
    const test::LongCosSin exact = test::long_cos_sin(phase);
    const long double bound = 3.1L * kUnit * norm(pair) + kLeast;
    ASSERT_LE(std::fabs(got.x - (pair.x * exact.cos - pair.y * exact.sin)), bound);
    ASSERT_LE(std::fabs(got.y - (pair.x * exact.sin + pair.y * exact.cos)), bound);
  }
}

// Each direction is off by the product and the last rounding of both components, 2u·‖pair‖ each,
// and the two together scale by c² + s², within 2.13·u of 1: 2·2·√2·u + 2.13·u < 8·u.
TEST_P(RotatedPair, ComesBack) {
  for (int i = 0; i < kDraws; ++i) {
    const Pair pair = draw();
    const CosSin angle = cos_sin(random());
    const Pair back = inverse_rotated(rotated(pair, angle), angle);
    const long double bound = 8 * kUnit * norm(pair) + 4 * kLeast;
    ASSERT_LE(std::fabs(static_cast<long double>(back.x) - pair.x), bound);
    ASSERT_LE(std::fabs(static_cast<long double>(back.y) - pair.y), bound);
  }
}

TEST_P(RotatedPair, StaysAtPhaseZero) {
  for (int i = 0; i < kDraws; ++i) {
    const Pair pair = draw();
    const Pair got = rotated(pair, cos_sin(0));
    ASSERT_EQ(got.x, pair.x);
    ASSERT_EQ(got.y, pair.y);
  }
}

TEST_P(RotatedPair, TurnsExactlyByAQuarter) {
  for (int i = 0; i < kDraws; ++i) {
    const Pair pair = draw();
    const Pair got = rotated(pair, cos_sin(uint64_t{1} << 62));
    ASSERT_EQ(got.x, -pair.y);
    ASSERT_EQ(got.y, pair.x);
  }
}

INSTANTIATE_TEST_SUITE_P(Of, RotatedPair,
                         testing::Values(Magnitudes{"Ordinary", -4, 4},
                                         Magnitudes{"Mixed", -60, 60},
                                         Magnitudes{"Tiny", -149, -120},
                                         Magnitudes{"Large", 120, 125}),
                         magnitudes_name);

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST(SpecialPairTest, OfZerosIsZero) {
  for (const float x : {0.0f, -0.0f}) {
    for (const float y : {0.0f, -0.0f}) {
      const Pair got = rotated({x, y}, cos_sin(0x123456789abcdef0u));
      EXPECT_EQ(got.x, 0.0f);
      EXPECT_EQ(got.y, 0.0f);
    }
  }
}

TEST(SpecialPairTest, WithNaNIsNaN) {
  for (const Pair& pair : {Pair{kNaN, 1.0f}, Pair{1.0f, kNaN}, Pair{kNaN, kNaN}}) {
    const Pair got = rotated(pair, cos_sin(0x123456789abcdef0u));
    EXPECT_TRUE(std::isnan(got.x));
    EXPECT_TRUE(std::isnan(got.y));
  }
}

TEST(SpecialPairTest, WithOneInfinityIsInfinite) {
  const CosSin angle = cos_sin(uint64_t{1} << 61);  // both are positive
  const Pair got = rotated({kInfinity, 1.0f}, angle);
  EXPECT_EQ(got.x, kInfinity);
  EXPECT_EQ(got.y, kInfinity);
}

// ∞ − ∞ and ∞ · 0 have no value.
TEST(SpecialPairTest, WithInfinitiesThatCancelIsNaN) {
  EXPECT_TRUE(std::isnan(rotated({kInfinity, kInfinity}, cos_sin(uint64_t{1} << 61)).x));
  EXPECT_TRUE(std::isnan(rotated({kInfinity, 1.0f}, cos_sin(0)).y));
}

TEST(SpecialPairTest, ThatOverflowsIsInfinite) {
  const float most = std::numeric_limits<float>::max();
  EXPECT_EQ(rotated({most, most}, cos_sin(uint64_t{1} << 61)).y, kInfinity);
}

}  // namespace
}  // namespace rope
