// Frequency schedules: how fast each pair of components turns, by the scheme a model was trained or
// extended with. Plain C++17 without torch; the Python builders call these functions.
#pragma once

#include <cstdint>
#include <vector>

namespace rope::schedules {

struct Schedule {
  std::vector<double> inv_freq;   // radians per position of pair i, dim / 2 of them, all finite
  double attention_factor = 1.0;  // multiplies cosines and sines
};

// All functions: dim is the number of rotated components, even, 2 … 1024 (kMaxRotaryDim); base is
// positive and finite; pair i = 0 … dim/2 − 1 of the plain schedule has f(i) = base^(−2i/dim).
// They throw std::invalid_argument that names the scheme, the rule and the value, for instance
// "rope::schedules::ntk: alpha must be positive and finite, got -1", also where a frequency would
// exceed the largest float64. Every frequency is computed to about 100 bits and rounded once; the
// same bits on every platform.

// f(i): the float64 nearest to base^(−2i/dim).
// Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (2021).
Schedule default_(int64_t dim, double base);

// Position interpolation: f(i) / factor. factor is positive and finite.
// Source: Chen et al., "Extending Context Window of Large Language Models via Positional
// Interpolation" (2023).
Schedule linear(int64_t dim, double base, double factor);

// NTK-aware scaling: the base becomes base · alpha^(dim/(dim − 2)), which leaves pair 0 alone and
// divides the frequency of the last pair by alpha. dim is at least 4; alpha positive and finite.
// Source: bloc97, "NTK-Aware Scaled RoPE" (a post on r/LocalLLaMA, 2023), in the notation of Peng
// et al., "YaRN: Efficient Context Window Extension of Large Language Models" (2023), section 3.1.
Schedule ntk(int64_t dim, double base, double alpha);

// Llama 3.1's scaling by wavelength w = 2π / f(i), against the length L of the original context:
//   w > L / low_freq_factor             f(i) / factor
//   w < L / high_freq_factor            f(i)
//   between, with t = (L/w − low_freq_factor) / (high_freq_factor − low_freq_factor)
//                                       (1 − t) · f(i) / factor + t · f(i)
// All four are positive and finite; low_freq_factor ≤ high_freq_factor (equal in Llama 4 Scout,
// where nothing lies between). Source: apply_scaling in the model code of Meta's repository
// llama-models (2024).
Schedule llama3(int64_t dim, double base, double factor, double low_freq_factor,
                double high_freq_factor, double original_max_position_embeddings);

}  // namespace rope::schedules
