// The schemes that scale the plain frequencies, or the base they are powers of, by given factors.
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "parts.h"

namespace rope::schedules {

using double_double::scaled;

namespace {

// (base · alpha^(dim/(dim − 2)))^(−2i/dim), without the new base, which may exceed float64.
Schedule stretched(const char* scheme, int64_t dim, double base, DoubleDouble alpha) {
  if (dim == 2) {
    refuse(scheme, "dim must be at least 4, since the base is scaled by a power dim / (dim - 2)",
           "2");
  }
  std::vector<Scaled> frequencies = powers(base, dim / 2, dim);
  const std::vector<Scaled> of_alpha = powers(alpha, dim / 2, dim - 2);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = frequencies[i] * of_alpha[i];
  }
  return rounded(scheme, frequencies);
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
  return stretched("ntk", dim, base, alpha);
}

Schedule dynamic_ntk(int64_t dim, double base, double factor, double max_position_embeddings,
                     double seq_len) {
  check_dim_and_base("dynamic_ntk", dim, base);
  check_positive("dynamic_ntk", "factor", factor);
  check_positive("dynamic_ntk", "max_position_embeddings", max_position_embeddings);
  check_positive("dynamic_ntk", "seq_len", seq_len);
  DoubleDouble alpha = 1.0;
  if (seq_len > max_position_embeddings) {
    // factor · seq_len / max − (factor − 1), without what cancels.
    const DoubleDouble excess = DoubleDouble(seq_len) - max_position_embeddings;
    alpha = 1.0 + DoubleDouble(factor) * (excess / max_position_embeddings);
  }
  check_positive("dynamic_ntk", "factor * seq_len / max_position_embeddings", alpha.high);
  return stretched("dynamic_ntk", dim, base, alpha);
}

Schedule proportional(int64_t dim, double base, double partial_rotary_factor, double factor) {
  check_dim_and_base("proportional", dim, base);
  check_positive("proportional", "factor", factor);
  if (!(partial_rotary_factor > 0.0 && partial_rotary_factor <= 1.0)) {
    refuse("proportional", "partial_rotary_factor must be above 0 and at most 1",
           text_of(partial_rotary_factor));
  }
  const double components = partial_rotary_factor * static_cast<double>(dim);
  const auto num_turning = static_cast<int64_t>(std::floor(components / 2.0));
  std::vector<Scaled> frequencies = powers(base, num_turning, dim);
  for (Scaled& frequency : frequencies) frequency = frequency / scaled(factor);
  Schedule schedule = rounded("proportional", frequencies);
  schedule.inv_freq.resize(static_cast<std::size_t>(dim / 2), 0.0);
  return schedule;
}

}  // namespace rope::schedules
