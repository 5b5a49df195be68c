// The schemes that treat pairs by how often they turn over the original context, or by a factor of
// their own: YaRN, LongRoPE, Llama 3.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "parts.h"

namespace rope::schedules {

using double_double::scaled;

namespace {

constexpr const char* kOriginalLength = "original_max_position_embeddings";

// How often pair i turns over a context of L positions, L · f(i) / 2π, comes down to `turns` at
// this i, not a whole number as a rule: i = dim · ln(L / (2π · turns)) / (2 ln base).
DoubleDouble pair_of_turns(double turns, int64_t dim, double base, double length) {
  const Scaled ratio = scaled(length) / (scaled(double_double::kTwoPi) * scaled(turns));
  return static_cast<double>(dim) * log(ratio) / (2.0 * log(scaled(base)));
}

DoubleDouble floor_of(DoubleDouble x) {
  const double floor = std::floor(x.high);
  return floor == x.high && x.low < 0.0 ? floor - 1.0 : floor;
}

DoubleDouble clamped(DoubleDouble x, double low, double high) {
  if (x.high < low) return low;
  return x.high < high ? x : high;
}

// The factor by which attention's logits sharpen, as its square root: 0.1 · mscale · ln s + 1.
DoubleDouble yarn_factor(double s, double mscale) {
  if (s <= 1.0) return 1.0;
  return DoubleDouble(mscale) / 10.0 * log(scaled(s)) + 1.0;
}

double yarn_attention(double factor, std::optional<double> mscale,
                      std::optional<double> mscale_all_dim) {
  const bool has_both = mscale.has_value() && mscale_all_dim.has_value();
  if (!has_both) return yarn_factor(factor, 1.0).high;
  check_positive("yarn", "0.1 * mscale_all_dim * ln(factor) + 1",
                 yarn_factor(factor, *mscale_all_dim).high);
  const DoubleDouble ratio = yarn_factor(factor, *mscale) / yarn_factor(factor, *mscale_all_dim);
  check_positive("yarn", "the attention factor of mscale and mscale_all_dim", ratio.high);
  return ratio.high;
}

double longrope_attention(double s, double length) {
  if (s <= 1.0) return 1.0;
  if (length <= 1.0) {
    refuse("longrope", std::string(kOriginalLength) + " must be greater than 1", text_of(length));
  }
  return std::sqrt((1.0 + log(scaled(s)) / log(scaled(length))).high);
}

void check_factors(const char* name, const std::vector<double>& factors, int64_t dim) {
  if (factors.size() != static_cast<std::size_t>(dim / 2)) {
    refuse("longrope",
           std::string(name) + " must have dim / 2 = " + std::to_string(dim / 2) + " entries",
           std::to_string(factors.size()));
  }
  for (std::size_t i = 0; i < factors.size(); ++i) {
    check_positive("longrope", std::string(name) + "[" + std::to_string(i) + "]", factors[i]);
  }
}

}  // namespace

Schedule yarn(int64_t dim, double base, double factor, double original_max_position_embeddings,
              double beta_fast, double beta_slow, std::optional<double> mscale,
              std::optional<double> mscale_all_dim, bool truncate,
              std::optional<double> attention_factor) {
  check_dim_and_base("yarn", dim, base);
  if (base <= 1.0) refuse("yarn", "base must be greater than 1", text_of(base));
  check_positive("yarn", "factor", factor);
  check_positive("yarn", kOriginalLength, original_max_position_embeddings);
  check_positive("yarn", "beta_fast", beta_fast);
  check_positive("yarn", "beta_slow", beta_slow);
  if (beta_fast < beta_slow) {
    refuse("yarn", "beta_fast must be at least beta_slow",
           text_of(beta_fast) + " and " + text_of(beta_slow));
  }
  if (attention_factor) check_positive("yarn", "attention_factor", *attention_factor);

  DoubleDouble low = pair_of_turns(beta_fast, dim, base, original_max_position_embeddings);
  DoubleDouble high = pair_of_turns(beta_slow, dim, base, original_max_position_embeddings);
  if (truncate) {
    low = floor_of(low);
    high = -floor_of(-high);
  }
  const auto last = static_cast<double>(dim - 1);
  low = clamped(low, 0.0, last);
  high = clamped(high, 0.0, last);
  if (low.high == high.high) high = high + 0.001;

  std::vector<Scaled> frequencies = powers(base, dim / 2, dim);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const DoubleDouble t = ramp(static_cast<double>(i), low, high);
    if (t.high == 0.0) continue;
    frequencies[i] = frequencies[i] * scaled((1.0 - t) + t / factor);
  }
  Schedule schedule = rounded("yarn", frequencies);
  schedule.attention_factor =
      attention_factor ? *attention_factor : yarn_attention(factor, mscale, mscale_all_dim);
  return schedule;
}

Schedule longrope(int64_t dim, double base, const std::vector<double>& short_factor,
                  const std::vector<double>& long_factor, double original_max_position_embeddings,
                  std::optional<double> max_position_embeddings, std::optional<double> factor,
                  std::optional<double> seq_len, std::optional<double> attention_factor) {
  check_dim_and_base("longrope", dim, base);
  check_factors("short_factor", short_factor, dim);
  check_factors("long_factor", long_factor, dim);
  const double length = original_max_position_embeddings;
  check_positive("longrope", kOriginalLength, length);
  if (max_position_embeddings) {
    check_positive("longrope", "max_position_embeddings", *max_position_embeddings);
  }
  if (factor) check_positive("longrope", "factor", *factor);
  if (seq_len) check_positive("longrope", "seq_len", *seq_len);
  if (attention_factor) check_positive("longrope", "attention_factor", *attention_factor);

  const std::vector<double>& divisors = seq_len.value_or(0.0) > length ? long_factor : short_factor;
  std::vector<Scaled> frequencies = powers(base, dim / 2, dim);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = frequencies[i] / scaled(divisors[i]);
  }
  Schedule schedule = rounded("longrope", frequencies);
  const double s = factor.value_or(max_position_embeddings.value_or(length) / length);
  schedule.attention_factor = attention_factor ? *attention_factor : longrope_attention(s, length);
  return schedule;
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
