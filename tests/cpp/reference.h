// The cosine and sine of a phase in long double: exact reduction in integers, then the C library.
// For the tests; shares no code with kernels/phase.h.
#pragma once

#include <cmath>
#include <cstdint>

namespace rope::test {

constexpr long double kPi = 3.14159265358979323846264338327950288L;

struct LongCosSin {
  long double cos;
  long double sin;
};

// Of phase · 2^-64 turns; within 2^-62 where long double has 64 bits.
inline LongCosSin long_cos_sin(uint64_t phase) {
  const uint64_t quarter = (phase + (uint64_t{1} << 61)) >> 62;  // the nearest one, 4 meaning 0
  const auto rest = static_cast<int64_t>(phase - (quarter << 62));
  const long double angle = static_cast<long double>(rest) * (2 * kPi) * 0x1p-64L;
  const long double cosine = std::cos(angle);
  const long double sine = std::sin(angle);
  switch (quarter % 4) {
    case 0:
      return {cosine, sine};
    case 1:
      return {-sine, cosine};
    case 2:
      return {-cosine, -sine};
    default:
      return {sine, -cosine};
  }
}

}  // namespace rope::test
