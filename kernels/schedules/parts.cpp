// Checks, powers, the ramp and the rounding: what parts.h declares.
#include "parts.h"

#include <cfloat>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <stdexcept>

#include <rope/params.h>

namespace rope::schedules {

using double_double::scaled;

std::string text_of(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof(text), value).ptr};
}

void refuse(const char* scheme, const std::string& rule, const std::string& value) {
  throw std::invalid_argument("rope::schedules::" + std::string(scheme) + ": " + rule + ", got " +
                              value);
}

void check_positive(const char* scheme, const std::string& name, double value) {
  if (std::isfinite(value) && value > 0.0) return;
  refuse(scheme, name + " must be positive and finite", text_of(value));
}

void check_dim(const char* scheme, const std::string& name, int64_t dim) {
  if (dim >= 2 && dim <= kMaxRotaryDim && dim % 2 == 0) return;
  refuse(scheme, name + " must be even and between 2 and " + std::to_string(kMaxRotaryDim),
         std::to_string(dim));
}

void check_dim_and_base(const char* scheme, int64_t dim, double base) {
  check_dim(scheme, "dim", dim);
  check_positive(scheme, "base", base);
}

// Rounding a power gives the nearest float64 but where it lies within 2^-100 of a point half-way
// between two of them, which of values at random one in 2^46 does, and none is such a point: if
// (n · 2^e)^(−p/q) were m · 2^k, n and m odd, m^q · n^p would be a power of two, hence m be 1.
std::vector<Scaled> powers(DoubleDouble base, int64_t count, int64_t denominator) {
  const Scaled split = scaled(base);
  const DoubleDouble log_mantissa = log(split.mantissa);
  std::vector<Scaled> result;
  result.reserve(static_cast<std::size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    // The base's power of two becomes a whole power of two times 2^(rest/denominator), where
    // |rest| ≤ denominator / 2. So the argument of exp stays within 0.7, and its error does not
    // grow with the logarithm of the base.
    const int64_t product = -2 * i * split.exponent;
    const int64_t whole =
        std::lround(static_cast<double>(product) / static_cast<double>(denominator));
    const auto rest = static_cast<double>(product - whole * denominator);
    const DoubleDouble sum =
        rest * double_double::kLog2 + static_cast<double>(-2 * i) * log_mantissa;
    result.push_back({exp(sum / static_cast<double>(denominator)), static_cast<int>(whole)});
  }
  return result;
}

DoubleDouble ramp(DoubleDouble x, DoubleDouble low, DoubleDouble high) {
  if (x.high > high.high) return 1.0;
  const DoubleDouble above = x - low;
  if (above.high <= 0.0) return 0.0;
  const DoubleDouble t = above / (high - low);
  return t.high < 1.0 ? t : 1.0;
}

Schedule rounded(const char* scheme, const std::vector<Scaled>& frequencies) {
  Schedule schedule;
  schedule.inv_freq.reserve(frequencies.size());
  for (const Scaled& frequency : frequencies) {
    const double value = unscaled(frequency).high;
    if (!(value <= DBL_MAX)) {
      refuse(scheme, "every frequency must be at most the largest float64",
             text_of(value) + " for pair " + std::to_string(schedule.inv_freq.size()));
    }
    schedule.inv_freq.push_back(value);
  }
  return schedule;
}

}  // namespace rope::schedules
