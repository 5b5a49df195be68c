// Frequency schedules: how fast each pair of components turns, by the scheme a model was trained or
// extended with. Plain C++17 without torch; the Python builders call these functions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace rope::schedules {

struct Schedule {
  std::vector<double> inv_freq;   // (num_axes, dim / 2) radians per position, row by row; finite
  double attention_factor = 1.0;  // multiplies cosines and sines
  int64_t num_axes = 1;           // of positions, as rope::apply takes them
};

// All functions: dim is the number of rotated components, even, 2 … 1024 (kMaxRotaryDim); base is
// positive and finite; pair i = 0 … dim/2 − 1 of the plain schedule has f(i) = base^(−2i/dim).
// They throw std::invalid_argument that names the scheme, the rule and the value, for instance
// "rope::schedules::ntk: alpha must be positive and finite, got -1", also where a frequency would
// exceed the largest float64. Every frequency is computed to about 100 bits and rounded once; the
// same bits on every platform. Arguments have the names and defaults of Python's builders.

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

// Dynamic NTK: ntk with alpha = factor · L / max − (factor − 1), L = seq_len but at least
// max = max_position_embeddings, so that alpha is 1 up to there. dim is at least 4. Another seq_len
// gives other frequencies: cached keys have to be rotated again (rope::rerotate).
// Source: emozilla, "Dynamically Scaled RoPE further increases performance of long context LLaMA"
// (a post on r/LocalLLaMA, 2023), as in transformers' modeling_rope_utils.py.
Schedule dynamic_ntk(int64_t dim, double base, double factor, double max_position_embeddings,
                     double seq_len);

// YaRN: pair i turns L · f(i) / 2π times over the original context of L positions; where that is
// above beta_fast it keeps f(i), below beta_slow it gets f(i) / factor, and between them
//   t · f(i) / factor + (1 − t) · f(i),  t = (i − low) / (high − low) within 0 … 1,
// low and high being the i, not whole as a rule, of exactly beta_fast and beta_slow turns:
//   i(turns) = dim · ln(L / (2π · turns)) / (2 ln base)
// rounded outwards to whole numbers with truncate, then clamped to 0 … dim − 1; where both are
// equal, high is 0.001 more. base is above 1; beta_fast is at least beta_slow.
// attention_factor: as given; else m(mscale) / m(mscale_all_dim) where both are given; else m(1);
// m(k) = 0.1 · k · ln factor + 1, and 1 where factor ≤ 1.
// Source: Peng et al., "YaRN" (2023), sections 3.2 to 3.4; mscale and mscale_all_dim: DeepSeek-V2's
// model code (2024); without truncate: gpt-oss (2025).
Schedule yarn(int64_t dim, double base, double factor, double original_max_position_embeddings,
              double beta_fast = 32.0, double beta_slow = 1.0,
              std::optional<double> mscale = std::nullopt,
              std::optional<double> mscale_all_dim = std::nullopt, bool truncate = true,
              std::optional<double> attention_factor = std::nullopt);

// LongRoPE: f(i) / short_factor[i], or f(i) / long_factor[i] where seq_len is given and above the
// original length L. Both lists have dim / 2 positive entries. attention_factor: as given; else
// sqrt(1 + ln s / ln L), and 1 where s ≤ 1, with s = factor, or max_position_embeddings / L, or 1
// where neither is given.
// Source: Ding et al., "LongRoPE: Extending LLM Context Window Beyond 2 Million Tokens" (2024); the
// factor: Phi-3's model code (2024).
Schedule longrope(int64_t dim, double base, const std::vector<double>& short_factor,
                  const std::vector<double>& long_factor, double original_max_position_embeddings,
                  std::optional<double> max_position_embeddings = std::nullopt,
                  std::optional<double> factor = std::nullopt,
                  std::optional<double> seq_len = std::nullopt,
                  std::optional<double> attention_factor = std::nullopt);

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

// Gemma 4's partial rotation: dim is the whole head, floor(partial_rotary_factor · dim / 2) leading
// pairs have f(i) / factor, and the others do not turn. partial_rotary_factor is above 0 and at
// most 1. Source: transformers' modeling_rope_utils.py, type "proportional" (2026).
Schedule proportional(int64_t dim, double base, double partial_rotary_factor, double factor = 1.0);

// M-RoPE, three axes (time, height, width): pair i turns with f(i) along one of them. sections =
// {t, h, w} pairs, dim / 2 together: in blocks, or, interleaved, pair i along h where i mod 3 is 1
// and i < 3h, along w where i mod 3 is 2 and i < 3w, else along t.
// Source: Wang et al., "Qwen2-VL" (2024), section 2.1; interleaved: Qwen3-VL's model code (2025).
Schedule mrope(int64_t dim, double base, const std::vector<int64_t>& sections,
               bool interleaved = false);

// One block of pairs for each of 1 to 4 axes, axes_dim[a] components wide (even, at most 1024
// together). Each block has the plain schedule of its own width, or, shared, its part of the plain
// schedule of all of them. Source: Heo et al., "Rotary Position Embedding for Vision Transformer"
// (2024), section 3.1; widths that differ: the model code of Flux (2024) and Wan (2025).
Schedule axial(const std::vector<int64_t>& axes_dim, double base, bool shared = false);

}  // namespace rope::schedules
