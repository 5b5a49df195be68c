// Frequency → turns → phase (kernels/phase.h) against values made by mpmath and against a
// bit-by-bit product with 1/2π (big_fixed.h). Every comparison is exact.
//
// The literals of kTurns are printed by mpmath at 2,400 bits:
//   int(floor(mpf(INV_FREQ) / (2 * pi) * mpf(2) ** 64 + mpf(1) / 2)) % 2 ** 64

#include <rope/kernels.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "big_fixed.h"
#include "phase.h"

namespace rope {
namespace {

struct Turns {
  const char* name;
  double inv_freq;
  uint64_t turns;
};

const Turns kTurns[] = {
    {"One", 0x1p+0, 0x28be60db9391054a},
    {"MinusOne", -0x1p+0, 0xd7419f246c6efab6},
    {"Zero", 0.0, 0x0000000000000000},
    {"MinusZero", -0.0, 0x0000000000000000},
    {"PairOneOf128", 0x1.bb5fad00ab22cp-1, 0x234855e55644661e},
    {"LastPairOf128", 0x1.e459c57e28a47p-14, 0x00013458e2f59024},
    {"LastPairOf128Base5e5", 0x1.4985fec80a8cbp-19, 0x0000068e3fbde7a8},
    {"Tenth", 0x1.999999999999ap-4, 0x041309af8ec1b3cb},
    {"TenthFloat32", 0x1.99999ap-4, 0x041309b093841f9e},
    {"MinusTenthFloat32", -0x1.99999ap-4, 0xfbecf64f6c7be062},
    {"LlamaFloat32", 0x1.53c38ap-1, 0x1b099c9e95f06782},
    {"Pi", 0x1.921fb54442d18p+1, 0x7ffffffffffffe98},
    {"PiFloat32", 0x1.921fb6p+1, 0x8000003bc259678f},
    {"TwoPi", 0x1.921fb54442d18p+2, 0xfffffffffffffd31},
    {"BelowTwoPi", 0x1.921fb54442d17p+2, 0xfffffffffffff301},
    {"AboveTwoPi", 0x1.921fb54442d19p+2, 0x0000000000000761},
    {"TwoPiFloat32", 0x1.921fb6p+2, 0x0000007784b2cf1f},
    {"HalfPi", 0x1.921fb54442d18p+0, 0x3fffffffffffff4c},
    {"MinusPi", -0x1.921fb54442d18p+1, 0x8000000000000168},
    {"NearestToAMultipleOfPi", 0x1.6ac5b262ca1ffp+849, 0x4000000000000001},
    {"Float32NearAMultipleOfPi", 0x1.f37c8ap+95, 0x400000011a92ac74},
    {"Thousand", 0x1.f4p+9, 0x27aa59b86e7cab00},
    {"TwoToThe30", 0x1p+30, 0xe4e441529fc2757d},
    {"TwoToThe64", 0x1p+64, 0x7f09d5f47d4d3770},
    {"HugeFloat64", 0x1.fffffffffffffp+1023, 0x7fcc3ea616b1ae41},
    {"MinusHugeFloat64", -0x1.fffffffffffffp+1023, 0x8033c159e94e51bf},
    {"LargestFloat32", 0x1.fffffep+127, 0xe9a1352f766b7dc1},
    {"TenToThe22", 0x1.0f0cf064dd592p+73, 0xd66f29ef84bc90cd},
    {"HalfAUnit", 0x1.921fb54442d18p-63, 0x0000000000000000},
    {"NextAboveHalfAUnit", 0x1.921fb54442d19p-63, 0x0000000000000001},
    {"NextBelowHalfAUnit", 0x1.921fb54442d17p-63, 0x0000000000000000},
    {"OneUnit", 0x1.921fb54442d18p-62, 0x0000000000000001},
    {"ThreeHalvesOfAUnit", 0x1.2d97c7f3321d2p-61, 0x0000000000000001},
    {"SmallestFloat32", 0x1p-149, 0x0000000000000000},
    {"SmallestNormalFloat32", 0x1p-126, 0x0000000000000000},
    {"SmallestSubnormal", 0x0.0000000000001p-1022, 0x0000000000000000},
    {"LargestSubnormal", 0x0.fffffffffffffp-1022, 0x0000000000000000},
    {"SmallestNormal", 0x1p-1022, 0x0000000000000000},
    {"TwoToTheMinus60", 0x1p-60, 0x0000000000000003},
    {"MinusTwoToTheMinus60", -0x1p-60, 0xfffffffffffffffd},
    // The hardest to round of all: tests/python/half_way.py finds them.
    {"NearestAboveHalfWay", 0x1.6ac5b262ca1ffp+786, 0x153f12feaf0f56db},
    {"NearestBelowHalfWay", 0x1.b951f1572eba5p-40, 0x0000000000463cff},
    {"Float32NearestAboveHalfWay", 0x1.f37c8ap+32, 0x8b35851af28fdd4b},
    {"Float32NearestBelowHalfWay", 0x1.a9d0e8p+108, 0x091545077ec51924},
};

std::string turns_name(const testing::TestParamInfo<Turns>& info) {
  return info.param.name;
}

class TurnsOf : public testing::TestWithParam<Turns> {};

TEST_P(TurnsOf, IsTheLiteral) {
  EXPECT_EQ(turns_of(GetParam().inv_freq), GetParam().turns);
}

TEST_P(TurnsOf, IsTheExactProduct) {
  EXPECT_EQ(test::exact_turns(GetParam().inv_freq), GetParam().turns);
}

TEST_P(TurnsOf, IsThePublicFunction) {
  EXPECT_EQ(turns_from_frequency(GetParam().inv_freq), GetParam().turns);
}

INSTANTIATE_TEST_SUITE_P(Literal, TurnsOf, testing::ValuesIn(kTurns), turns_name);

TEST(TurnsTest, OfRandomFloat64AreExact) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 40000; ++i) {
    const auto inv_freq = bit_cast<double>(random());
    if (!std::isfinite(inv_freq)) continue;
    ASSERT_EQ(turns_of(inv_freq), test::exact_turns(inv_freq)) << std::hexfloat << inv_freq;
  }
}

TEST(TurnsTest, OfRandomFloat32AreExact) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 40000; ++i) {
    const double inv_freq = bit_cast<float>(static_cast<uint32_t>(random()));
    if (!std::isfinite(inv_freq)) continue;
    ASSERT_EQ(turns_of(inv_freq), test::exact_turns(inv_freq)) << std::hexfloat << inv_freq;
  }
}

// Frequencies of models, and each with every exponent: all shifts of the product by 0 … 63 bits.
TEST(TurnsTest, OfEveryExponentAreExact) {
  for (int exponent = -1074; exponent < 1024; ++exponent) {
    for (const double significand : {1.0, 0x1.fffffffffffffp+0, 0x1.921fb54442d18p+0}) {
      const double inv_freq = std::ldexp(significand, exponent);
      ASSERT_EQ(turns_of(inv_freq), test::exact_turns(inv_freq)) << std::hexfloat << inv_freq;
    }
  }
}

TEST(TurnsTest, OfNegatedFrequenciesAreNegated) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 100000; ++i) {
    const auto inv_freq = bit_cast<double>(random());
    if (!std::isfinite(inv_freq)) continue;
    ASSERT_EQ(turns_of(-inv_freq), uint64_t{0} - turns_of(inv_freq));
  }
}

TEST(TurnsTest, OfNoNumberAreInvalid) {
  EXPECT_EQ(turns_of(std::numeric_limits<double>::infinity()), kInvalidTurns);
  EXPECT_EQ(turns_of(-std::numeric_limits<double>::infinity()), kInvalidTurns);
  EXPECT_EQ(turns_of(std::numeric_limits<double>::quiet_NaN()), kInvalidTurns);
  EXPECT_EQ(turns_of(std::numeric_limits<double>::signaling_NaN()), kInvalidTurns);
}

}  // namespace
}  // namespace rope
