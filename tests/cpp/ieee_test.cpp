// kernels/ieee.h: software_fma, and the one of the baseline's registers (kernels/cpu), against the
// C library's fused operation, bit for bit, where random operands rarely go: cancellation, halves
// of the last place, subnormals, infinities, NaN.
#include "ieee.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "cpu/pack.h"

namespace rope {
namespace {

constexpr int kDraws = 1 << 20;

struct Operands {
  float x, y, z;
};

float random_bits(std::mt19937_64& random) {
  return bit_cast<float>(static_cast<uint32_t>(random()));
}

// A random significand and sign at an exponent between first and last.
float random_scaled(std::mt19937_64& random, int first, int last) {
  const auto range = static_cast<uint64_t>(last - first + 1);
  const int exponent = first + static_cast<int>(random() % range);
  const float significand = 1.0f + static_cast<float>(random() & 0x7fffff) * 0x1p-23f;
  return std::ldexp((random() & 1) != 0 ? -significand : significand, exponent);
}

Operands any_bits(std::mt19937_64& random) {
  return {random_bits(random), random_bits(random), random_bits(random)};
}

Operands ordinary(std::mt19937_64& random) {
  return {random_scaled(random, -8, 8), random_scaled(random, -8, 8),
          random_scaled(random, -16, 16)};
}

// z is within a few places of −x·y: what is left of the sum is the product's tail.
Operands cancelling(std::mt19937_64& random) {
  const float x = random_scaled(random, -60, 60);
  const float y = random_scaled(random, -60, 60);
  const auto steps = static_cast<uint32_t>(random() % 7) - 3;
  const float z = bit_cast<float>(bit_cast<uint32_t>(-(x * y)) + steps);
  return {x, y, z};
}

// x·y is half of z's last place, or next to it: ties, and the double rounding of a naive sum.
Operands half_way(std::mt19937_64& random) {
  const float z = random_scaled(random, -20, 20);
  const float half_ulp = std::ldexp(1.0f, std::ilogb(z) - 24);
  const auto nudge = static_cast<float>(static_cast<int>(random() % 5) - 2);
  const float x = half_ulp * (1.0f + nudge * 0x1p-23f);
  const float y = (random() & 1) != 0 ? 1.0f - 0x1p-24f * static_cast<float>(random() % 3) : -1.0f;
  return {x, y, z};
}

// The result is subnormal, or the step to it.
Operands tiny(std::mt19937_64& random) {
  return {random_scaled(random, -80, -60), random_scaled(random, -80, -60),
          random_scaled(random, -149, -124)};
}

Operands huge(std::mt19937_64& random) {
  return {random_scaled(random, 60, 66), random_scaled(random, 60, 66),
          random_scaled(random, 120, 127)};
}

// One lane of a register whose other lanes are ordinary, so that they need no second rounding.
float register_fma(const Operands& operands, int lane) {
  float x[Pack::kLanes], y[Pack::kLanes], z[Pack::kLanes], results[Pack::kLanes];
  std::fill_n(x, Pack::kLanes, 1.5f);
  std::fill_n(y, Pack::kLanes, 1.5f);
  std::fill_n(z, Pack::kLanes, 1.0f);
  x[lane] = operands.x;
  y[lane] = operands.y;
  z[lane] = operands.z;
  store_one(results, fma(load_one(x), load_one(y), load_one(z)));
  return results[lane];
}

void expect_same_bits(const Operands& operands) {
  static int lane = 0;
  lane = (lane + 1) % Pack::kLanes;
  const auto [x, y, z] = operands;
  const float expected = std::fma(x, y, z);
  for (const float result : {software_fma(x, y, z), fma(x, y, z), register_fma(operands, lane)}) {
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(result)) << x << " · " << y << " + " << z;
    } else {
      ASSERT_EQ(bit_cast<uint32_t>(result), bit_cast<uint32_t>(expected))
          << std::hexfloat << x << " · " << y << " + " << z;
    }
  }
}

struct Draw {
  const char* name;
  Operands (*draw)(std::mt19937_64&);
};

std::string draw_name(const testing::TestParamInfo<Draw>& info) {
  return info.param.name;
}

class FusedOperation : public testing::TestWithParam<Draw> {};

TEST_P(FusedOperation, HasTheBitsOfTheLibrary) {
  std::mt19937_64 random(1);
  for (int i = 0; i < kDraws; ++i) {
    ASSERT_NO_FATAL_FAILURE(expect_same_bits(GetParam().draw(random)));
  }
}

INSTANTIATE_TEST_SUITE_P(On, FusedOperation,
                         testing::Values(Draw{"AnyBits", any_bits}, Draw{"Ordinary", ordinary},
                                         Draw{"Cancelling", cancelling}, Draw{"HalfWay", half_way},
                                         Draw{"Tiny", tiny}, Draw{"Huge", huge}),
                         draw_name);

TEST(FusedOperationTest, HasTheBitsOfTheLibraryOnSpecialValues) {
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr float kMin = std::numeric_limits<float>::min();
  constexpr float kLeast = std::numeric_limits<float>::denorm_min();
  const float magnitudes[] = {
      0.0f,          kLeast,   2 * kLeast,      3 * kLeast, kMin,         kMin - kLeast,
      kMin + kLeast, 0x1p-75f, 0x1p-74f,        0x1.8p-75f, 0x1p-24f,     0x1.000002p-24f,
      0x1p-12f,      0.5f,     1.0f - 0x1p-24f, 1.0f,       1 + 0x1p-23f, 1.5f,
      3.0f,          0x1p12f,  0x1p24f,         0x1p64f,    kMax / 2,     kMax,
      INFINITY,      NAN};
  constexpr int kCount = 2 * static_cast<int>(std::size(magnitudes));
  const auto value = [&](int i) { return i % 2 == 0 ? magnitudes[i / 2] : -magnitudes[i / 2]; };
  for (int i = 0; i < kCount * kCount * kCount; ++i) {
    const Operands operands = {value(i % kCount), value(i / kCount % kCount),
                               value(i / kCount / kCount)};
    ASSERT_NO_FATAL_FAILURE(expect_same_bits(operands));
  }
}

TEST(NegateTest, MakesEveryZeroPositive) {
  EXPECT_FALSE(std::signbit(negate(0.0f)));
  EXPECT_FALSE(std::signbit(negate(-0.0f)));
  EXPECT_EQ(negate(2.5f), -2.5f);
  EXPECT_EQ(negate(std::numeric_limits<float>::denorm_min()),
            -std::numeric_limits<float>::denorm_min());
  EXPECT_TRUE(std::isnan(negate(NAN)));
}

}  // namespace
}  // namespace rope
