/// @file
/// Frequency schedules: how fast each pair of components turns, by the scheme a model was trained
/// or extended with. Plain C++17 without torch; the Python builders call these functions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

/// The frequencies of published schemes, in radians per position.
///
/// In all of them dim is the number of rotated components, even, 2 … kMaxRotaryDim, base is
/// positive and finite, and pair i = 0 … dim/2 − 1 of the plain schedule has f(i) = base^(−2i/dim).
/// Every frequency is computed to about 100 bits and rounded once: the same bits on every platform.
/// Arguments have the names and defaults of Python's builders. Any number of threads may call.
///
/// What breaks a rule below is thrown as std::invalid_argument, which names the scheme, the rule
/// and the value: `rope::schedules::ntk: alpha must be positive and finite, got -1`. So is a
/// frequency that would exceed the largest float64. Nothing else is thrown but std::bad_alloc.
namespace rope::schedules {

/// What a scheme comes to; Options of `<rope/rope.h>` take both values as they are, and
/// turns_from_frequency makes of each frequency a word for Frequencies.
struct Schedule {
  std::vector<double> inv_freq;   ///< (num_axes, dim / 2) radians per position, row by row; finite
  double attention_factor = 1.0;  ///< multiplies cosines and sines; 1 but of yarn() and longrope()
  int64_t num_axes = 1;           ///< of positions; 1 but of mrope() and axial()
};

/// The plain schedule.
///
/// Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (2021).
/// @param dim  rotated components
/// @param base of the powers
/// @return The float64 nearest to f(i).
Schedule default_(int64_t dim, double base);

/// Position interpolation.
///
/// Source: Chen et al., "Extending Context Window of Large Language Models via Positional
/// Interpolation" (2023).
/// @param dim,base as of default_()
/// @param factor   positive and finite
/// @return f(i) / factor
Schedule linear(int64_t dim, double base, double factor);

/// NTK-aware scaling: leaves pair 0 alone and divides the frequency of the last pair by alpha.
///
/// Source: bloc97, "NTK-Aware Scaled RoPE" (a post on r/LocalLLaMA, 2023), in the notation of Peng
/// et al., "YaRN: Efficient Context Window Extension of Large Language Models" (2023), section 3.1.
/// @param dim   at least 4
/// @param base  as of default_()
/// @param alpha positive and finite
/// @return The plain schedule of base · alpha^(dim/(dim − 2)), a number that may exceed float64.
Schedule ntk(int64_t dim, double base, double alpha);

/// Dynamic NTK: ntk() by the length of the sequence. Another one gives other frequencies: cached
/// keys have to be rotated again (rope::rerotate).
///
/// Source: emozilla, "Dynamically Scaled RoPE further increases performance of long context LLaMA"
/// (a post on r/LocalLLaMA, 2023), as in transformers' modeling_rope_utils.py.
/// @param dim,base                as of ntk()
/// @param factor                  positive and finite
/// @param max_position_embeddings the original length M; positive and finite
/// @param seq_len                 positive and finite; up to M it changes nothing
/// @return ntk() with alpha = factor · L / M − (factor − 1), L the greater of seq_len and M.
Schedule dynamic_ntk(int64_t dim, double base, double factor, double max_position_embeddings,
                     double seq_len);

/// YaRN: fast pairs keep their frequency, slow ones are interpolated.
///
/// Pair i turns L · f(i) / 2π times over the original context of L positions. low and high are the
/// i, not whole as a rule, of exactly beta_fast and beta_slow turns,
/// i(turns) = dim · ln(L / (2π · turns)) / (2 ln base), rounded outwards to whole numbers with
/// truncate, then clamped to 0 … dim − 1; where both are equal, high is 0.001 more.
///
/// The attention factor is the given one; else m(mscale) / m(mscale_all_dim) where both are given,
/// which has to be positive and finite, as does the divisor; else m(1); with
/// m(k) = 0.1 · k · ln factor + 1, and 1 where factor ≤ 1.
///
/// Source: Peng et al., "YaRN" (2023), sections 3.2 to 3.4; mscale and mscale_all_dim:
/// DeepSeek-V2's model code (2024); without truncate: gpt-oss (2025).
/// @param dim       as of default_()
/// @param base      above 1
/// @param factor    positive and finite
/// @param original_max_position_embeddings L; positive and finite
/// @param beta_fast positive and finite, at least beta_slow
/// @param beta_slow positive and finite
/// @param mscale,mscale_all_dim one alone does not count
/// @param truncate  whether low and high are rounded
/// @param attention_factor positive and finite
/// @return t · f(i) / factor + (1 − t) · f(i), t = (i − low) / (high − low) within 0 … 1
Schedule yarn(int64_t dim, double base, double factor, double original_max_position_embeddings,
              double beta_fast = 32.0, double beta_slow = 1.0,
              std::optional<double> mscale = std::nullopt,
              std::optional<double> mscale_all_dim = std::nullopt, bool truncate = true,
              std::optional<double> attention_factor = std::nullopt);

/// LongRoPE: a divisor for each pair, of two lists by the length of the sequence.
///
/// The attention factor is the given one; else sqrt(1 + ln s / ln L), and 1 where s ≤ 1, with
/// s = factor, or max_position_embeddings / L, or 1 where neither is given.
///
/// Source: Ding et al., "LongRoPE: Extending LLM Context Window Beyond 2 Million Tokens" (2024);
/// the factor: Phi-3's model code (2024).
/// @param dim,base     as of default_()
/// @param short_factor dim / 2 divisors, positive and finite
/// @param long_factor  as many
/// @param original_max_position_embeddings L; positive and finite, above 1 where ln L is divided by
/// @param max_position_embeddings,factor,seq_len,attention_factor positive and finite
/// @return f(i) / long_factor[i] where seq_len is given and above L, else f(i) / short_factor[i]
Schedule longrope(int64_t dim, double base, const std::vector<double>& short_factor,
                  const std::vector<double>& long_factor, double original_max_position_embeddings,
                  std::optional<double> max_position_embeddings = std::nullopt,
                  std::optional<double> factor = std::nullopt,
                  std::optional<double> seq_len = std::nullopt,
                  std::optional<double> attention_factor = std::nullopt);

/// Llama 3.1's scaling by the turns L · f(i) / 2π of a pair over the original context of L
/// positions: f(i) / factor below low_freq_factor, f(i) above high_freq_factor.
///
/// Source: apply_scaling in the model code of Meta's repository llama-models (2024), where the
/// turns are L / w, w the wavelength.
/// @param dim,base         as of default_()
/// @param factor           positive and finite
/// @param low_freq_factor  positive and finite, at most high_freq_factor
/// @param high_freq_factor positive and finite; in Llama 4 Scout equal to the former, so that
/// nothing lies between
/// @param original_max_position_embeddings L; positive and finite
/// @return (1 − t) · f(i) / factor + t · f(i),
/// t = (turns − low_freq_factor) / (high_freq_factor − low_freq_factor) within 0 … 1
Schedule llama3(int64_t dim, double base, double factor, double low_freq_factor,
                double high_freq_factor, double original_max_position_embeddings);

/// Gemma 4's partial rotation: leading pairs turn, the others do not.
///
/// Source: transformers' modeling_rope_utils.py, type "proportional" (2026).
/// @param dim    the whole head
/// @param base   as of default_()
/// @param partial_rotary_factor above 0, at most 1
/// @param factor positive and finite
/// @return f(i) / factor for floor(partial_rotary_factor · dim / 2) pairs, then 0
Schedule proportional(int64_t dim, double base, double partial_rotary_factor, double factor = 1.0);

/// M-RoPE, three axes (time, height, width): pair i turns with f(i) along one of them.
///
/// Source: Wang et al., "Qwen2-VL" (2024), section 2.1; interleaved: Qwen3-VL's model code (2025).
/// @param dim,base    as of default_()
/// @param sections    {t, h, w} pairs, none negative, dim / 2 together
/// @param interleaved false: in blocks, t first; true: pair i along h where i mod 3 is 1 and i <
/// 3h, along w where i mod 3 is 2 and i < 3w, else along t. All three counts have to come out.
/// @return (3, dim / 2), 0 where a pair does not turn along an axis
Schedule mrope(int64_t dim, double base, const std::vector<int64_t>& sections,
               bool interleaved = false);

/// One block of pairs for each axis, of a grid for instance.
///
/// Source: Heo et al., "Rotary Position Embedding for Vision Transformer" (2024), section 3.1;
/// widths that differ: the model code of Flux (2024) and Wan (2025).
/// @param axes_dim the components of each of 1 to 4 axes: even, 2 or more, at most kMaxRotaryDim
/// together, which is dim
/// @param base     as of default_()
/// @param shared   false: each block has the plain schedule of its own width; true: its part of the
/// plain schedule of all of them
/// @return (axes_dim.size(), dim / 2), 0 where a pair does not turn along an axis
Schedule axial(const std::vector<int64_t>& axes_dim, double base, bool shared = false);

}  // namespace rope::schedules
