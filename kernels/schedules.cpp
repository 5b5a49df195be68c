// The frequency builders of <rope/schedules.h>: each scheme is a few lines of double-double
// arithmetic on powers of the base, which `powers` makes and `rounded` turns into float64.

#include <cfloat>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <rope/params.h>
#include <rope/schedules.h>

#include "double_double.h"

namespace rope::schedules {
namespace {

using double_double::DoubleDouble;
using double_double::Scaled;
using double_double::scaled;

// The shortest decimal that reads back as the value, in any locale.
std::string text_of(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof(text), value).ptr};
}

[[noreturn]] void refuse(const char* scheme, const std::string& rule, const std::string& value) {
  throw std::invalid_argument("rope::schedules::" + std::string(scheme) + ": " + rule + ", got " +
                              value);
}

void check_positive(const char* scheme, const char* name, double value) {
  if (std::isfinite(value) && value > 0.0) return;
  refuse(scheme, std::string(name) + " must be positive and finite", text_of(value));
}

void check_dim_and_base(const char* scheme, int64_t dim, double base) {
  if (dim < 2 || dim > kMaxRotaryDim || dim % 2 != 0) {
    refuse(scheme, "dim must be even and between 2 and " + std::to_string(kMaxRotaryDim),
           std::to_string(dim));
  }
  check_positive(scheme, "base", base);
}

// base^(−2i/denominator) for i = 0 … count − 1, where 2 (count − 1) ≤ denominator, within 2^-100 of
// itself. Rounding it gives the nearest float64 but where the power lies as close as that to a
// point half-way between two of them, which of values at random one in 2^46 does, and none is such
// a point: if (n · 2^e)^(−p/q) were m · 2^k, n and m odd, m^q · n^p would be a power of two, hence
// m be 1.
std::vector<Scaled> powers(double base, int64_t count, int64_t denominator) {
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

// 0 up to low, 1 from high on, a straight line between; where low is high, a step behind them.
// x may be infinite.
DoubleDouble ramp(DoubleDouble x, double low, double high) {
  if (x.high > high) return 1.0;
  const DoubleDouble above = x - low;
  if (above.high <= 0.0) return 0.0;
  const DoubleDouble t = above / (DoubleDouble(high) - low);
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

}  // namespace

Schedule default_(int64_t dim, double base) {
  check_dim_and_base("default", dim, base);
  return rounded("default", powers(base, dim / 2, dim));
}

Schedule linear(int64_t dim, double base, double factor) {
  check_dim_and_base("linear", dim, base);
  check_positive("linear", "factor", factor);
  std::vector<Scaled> frequencies = powers(base, dim / 2, dim);
  for (Scaled& frequency : frequencies) frequency = frequency / scaled(factor);
  return rounded("linear", frequencies);
}

Schedule ntk(int64_t dim, double base, double alpha) {
  check_dim_and_base("ntk", dim, base);
  check_positive("ntk", "alpha", alpha);
  if (dim == 2) {
    refuse("ntk", "dim must be at least 4, since alpha has the exponent dim / (dim - 2)", "2");
  }
  // (base · alpha^(dim/(dim − 2)))^(−2i/dim), without the new base, which may exceed float64.
  std::vector<Scaled> frequencies = powers(base, dim / 2, dim);
  const std::vector<Scaled> of_alpha = powers(alpha, dim / 2, dim - 2);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = frequencies[i] * of_alpha[i];
  }
  return rounded("ntk", frequencies);
}

Schedule llama3(int64_t dim, double base, double factor, double low_freq_factor,
                double high_freq_factor, double original_max_position_embeddings) {
  check_dim_and_base("llama3", dim, base);
  check_positive("llama3", "factor", factor);
  check_positive("llama3", "low_freq_factor", low_freq_factor);
  check_positive("llama3", "high_freq_factor", high_freq_factor);
  check_positive("llama3", "original_max_position_embeddings", original_max_position_embeddings);
  if (low_freq_factor > high_freq_factor) {
    refuse("llama3", "low_freq_factor must be at most high_freq_factor",
           text_of(low_freq_factor) + " and " + text_of(high_freq_factor));
  }
  const Scaled turns_per_frequency =
      scaled(original_max_position_embeddings) / scaled(double_double::kTwoPi);
  std::vector<Scaled> frequencies = powers(base, dim / 2, dim);
  for (Scaled& frequency : frequencies) {
    // L/w of the header: how often the pair turns over the original context.
    const DoubleDouble turns = unscaled(turns_per_frequency * frequency);
    const DoubleDouble t = ramp(turns, low_freq_factor, high_freq_factor);
    if (t.high == 1.0) continue;
    frequency = frequency / scaled(factor) * scaled((1.0 - t) + t * factor);
  }
  return rounded("llama3", frequencies);
}

}  // namespace rope::schedules
