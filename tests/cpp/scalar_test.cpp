// The conversions of kernels/scalar.h and vector.h against formats.h, over all bit patterns of the
// 16-bit types and around every point where rounding changes its mind.
#include "scalar.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "formats.h"
#include "vector.h"

namespace rope {
namespace {

using test::decode;
using test::encode;
using test::Format;

template <class Scalar>
class Conversion : public testing::Test {
 protected:
  const Format format = test::format_of(kDtypeOf<Scalar>);

  static uint32_t rounded(float value) { return from_float<Scalar>(value).bits; }
  static float widened(uint32_t bits) { return to_float(Scalar{static_cast<uint16_t>(bits)}); }

  // Both signs of a value must round to both signs of a pattern.
  void expect_rounds(float value, uint32_t bits) {
    ASSERT_EQ(rounded(value), bits) << value;
    ASSERT_EQ(rounded(-value), bits | format.sign()) << -value;
  }
};

struct TypeNames {
  template <class Scalar>
  static std::string GetName(int) {
    return kDtypeOf<Scalar> == Dtype::kFloat16 ? "Half" : "BFloat16";
  }
};

using SixteenBitTypes = testing::Types<Half, BFloat16>;
TYPED_TEST_SUITE(Conversion, SixteenBitTypes, TypeNames);

TYPED_TEST(Conversion, WidensEveryPatternExactly) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float value = this->widened(bits);
    if (test::is_nan(this->format, bits)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
    } else {
      const auto expected = static_cast<float>(decode(this->format, bits));
      ASSERT_EQ(bit_cast<uint32_t>(value), bit_cast<uint32_t>(expected)) << bits;
    }
  }
}

TYPED_TEST(Conversion, ReturnsEveryNumber) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    if (test::is_nan(this->format, bits)) continue;
    ASSERT_EQ(this->rounded(this->widened(bits)), bits);
  }
}

// Subnormals, the step to normals and the step to infinity are among these. A midpoint has one bit
// more than its neighbours, which a float holds.
TYPED_TEST(Conversion, RoundsEveryMidpointToEven) {
  for (uint32_t lower = 0; lower < this->format.infinity(); ++lower) {
    const long double below = decode(this->format, lower);
    const long double step = test::ulp(this->format, below);
    const auto midpoint = static_cast<float>(below + step / 2);
    ASSERT_EQ(static_cast<long double>(midpoint), below + step / 2);
    const uint32_t even = lower % 2 == 0 ? lower : lower + 1;
    ASSERT_NO_FATAL_FAILURE(this->expect_rounds(midpoint, even));
    ASSERT_NO_FATAL_FAILURE(this->expect_rounds(std::nextafterf(midpoint, 0.0f), lower));
    ASSERT_NO_FATAL_FAILURE(this->expect_rounds(std::nextafterf(midpoint, INFINITY), lower + 1));
  }
}

TYPED_TEST(Conversion, RoundsAsDefined) {
  // A stride that is odd visits all trailing bits; some four million of the 2^31 magnitudes.
  for (uint64_t bits = 0; bits < 0x7f800000u; bits += 509) {
    const auto value = bit_cast<float>(static_cast<uint32_t>(bits));
    ASSERT_NO_FATAL_FAILURE(this->expect_rounds(value, encode(this->format, value)));
  }
}

TYPED_TEST(Conversion, OverflowsToInfinity) {
  for (const float value : {INFINITY, std::numeric_limits<float>::max()}) {
    ASSERT_NO_FATAL_FAILURE(this->expect_rounds(value, this->format.infinity()));
  }
}

TYPED_TEST(Conversion, UnderflowsToSignedZero) {
  const float least = std::numeric_limits<float>::denorm_min();
  for (const float value : {0.0f, least}) {
    ASSERT_NO_FATAL_FAILURE(this->expect_rounds(value, 0));
  }
}

TYPED_TEST(Conversion, KeepsNaN) {
  for (uint64_t magnitude = 0x7f800001u; magnitude <= 0x7fffffffu; magnitude += 97) {
    for (const uint64_t sign : {0x0ull, 0x80000000ull}) {
      const auto value = bit_cast<float>(static_cast<uint32_t>(magnitude | sign));
      ASSERT_TRUE(test::is_nan(this->format, this->rounded(value))) << std::hex << magnitude;
    }
  }
}

TEST(FormatsTest, AgreeWithFloat) {
  for (uint64_t bits = 0; bits < 0x7f800000u; bits += 4093) {
    const auto pattern = static_cast<uint32_t>(bits);
    const auto value = bit_cast<float>(pattern);
    ASSERT_EQ(decode(test::kFloat32Format, pattern), static_cast<long double>(value));
    ASSERT_EQ(encode(test::kFloat32Format, value), pattern);
  }
}

// Element i of a vector is element i in memory, both ways.
template <class Scalar, int kBytes>
void expect_elements_in_order() {
  constexpr int kCount = kBytes / static_cast<int>(sizeof(Scalar));
  Scalar in_memory[kCount];
  for (int i = 0; i < kCount; ++i) {
    in_memory[i] = from_float<Scalar>(static_cast<float>(i) - 1.5f);
  }
  Vector<kBytes> vector;
  std::memcpy(&vector, in_memory, kBytes);
  float elements[kCount];
  widen<Scalar>(vector, elements);
  for (int i = 0; i < kCount; ++i) EXPECT_EQ(elements[i], static_cast<float>(i) - 1.5f);

  Vector<kBytes> back = {};
  narrow<Scalar>(elements, back);
  EXPECT_EQ(std::memcmp(&back, in_memory, kBytes), 0);
}

TEST(VectorTest, KeepsElementsInOrder) {
  expect_elements_in_order<float, 16>();
  expect_elements_in_order<float, 8>();
  expect_elements_in_order<float, 4>();
  expect_elements_in_order<Half, 16>();
  expect_elements_in_order<Half, 8>();
  expect_elements_in_order<Half, 4>();
  expect_elements_in_order<Half, 2>();
  expect_elements_in_order<BFloat16, 16>();
  expect_elements_in_order<BFloat16, 8>();
  expect_elements_in_order<BFloat16, 4>();
  expect_elements_in_order<BFloat16, 2>();
}

}  // namespace
}  // namespace rope
