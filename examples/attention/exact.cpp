// Worst-case bounds for sums of n rounded products, whatever their order, are γ(n) = nu / (1 − nu)
// times the sum of magnitudes: Higham, Accuracy and Stability of Numerical Algorithms, section 3.1.
#include "exact.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace {

constexpr double kUnit = 0x1p-24;  // u: half the distance from 1 to the next float32
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double gamma(int64_t n) {
  const double nu = static_cast<double>(n) * kUnit;
  return nu / (1 - nu);
}

Bounded given(const at::Tensor& x) {
  const at::Tensor value = x.to(at::kDouble);
  return {value, at::zeros_like(value)};
}

// a · b, where a float32 program rounds at most n times on the way to an element.
Bounded product(const Bounded& a, const Bounded& b, int64_t n) {
  const at::Tensor exact = at::matmul(a.value.abs(), b.value.abs());
  const at::Tensor largest = at::matmul(a.value.abs() + a.error, b.value.abs() + b.error);
  return {at::matmul(a.value, b.value), (1 + gamma(n)) * largest - exact};
}

at::Tensor pair_norms(const at::Tensor& x) {
  const auto halves = x.to(at::kDouble).chunk(2, -1);
  const at::Tensor norms = at::hypot(halves[0], halves[1]);
  return at::cat({norms, norms}, -1);
}

// A rotation passes on the errors of its pair, no longer than they were, and adds its own.
Bounded rotated(const Bounded& x, const at::Tensor& pos, const at::Tensor& inv_freq) {
  const at::Tensor passed_on = pair_norms(x.error);
  const at::Tensor own = 4.2 * kUnit * (pair_norms(x.value) + passed_on);
  return {rotate_exactly(x.value, pos, inv_freq), passed_on + own};
}

// Softmax over the keys that each query may see. Scores off by at most e change a quotient of
// exponentials by at most exp(2e); subtracting the maximum rounds an argument as wide as the range;
// torch's vectorised exp is good to 20 ulp = 40u (exp_u20); then n − 1 additions and a division.
Bounded softmax_of_seen(const Bounded& scores, const at::Tensor& hidden) {
  const at::Tensor value = at::softmax(scores.value.masked_fill(hidden, -kInfinity), -1);
  const at::Tensor off = scores.error.masked_fill(hidden, 0.0).amax(-1, true);
  const at::Tensor range = scores.value.masked_fill(hidden, -kInfinity).amax(-1, true) -
                           scores.value.masked_fill(hidden, kInfinity).amin(-1, true) + 2 * off;
  const at::Tensor exponent = 2 * (off + kUnit * (range + 40)) + gamma(scores.value.size(-1) + 1);
  return {value, at::expm1(exponent) * value};
}

// (batch, tokens, heads, dim) → (batch, heads · repeats, tokens, dim), each head `repeats` times.
Bounded by_head(const Bounded& x, int64_t repeats) {
  const auto arrange = [&](const at::Tensor& t) {
    return t.transpose(1, 2).repeat_interleave(repeats, 1);
  };
  return {arrange(x.value), arrange(x.error)};
}

Bounded transposed(const Bounded& x) {
  return {x.value.mT(), x.error.mT()};
}

Bounded heads_of(const Bounded& qkv, const Layer& layer, int64_t first, int64_t num_heads) {
  const auto select = [&](const at::Tensor& t) {
    return t.unflatten(-1, {-1, layer.head_dim}).narrow(2, first, num_heads);
  };
  return {select(qkv.value), select(qkv.error)};
}

}  // namespace

at::Tensor rotate_exactly(const at::Tensor& x, const at::Tensor& pos, const at::Tensor& inv_freq) {
  const auto halves = x.to(at::kDouble).chunk(2, -1);
  const at::Tensor angle = at::outer(pos.to(at::kDouble), inv_freq.to(pos.device())).unsqueeze(1);
  const at::Tensor cos = angle.cos();
  const at::Tensor sin = angle.sin();
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1);
}

// Rope's bound is half an ulp of the type, at most unit · ‖pair‖, plus 3.1u · ‖pair‖. What it adds
// for the position (2^20 · 2π · 2^-65), float64's own error here (2^20 · 2^-52) and terms of second
// order are together less than 0.1u.
at::Tensor rotation_bound(const at::Tensor& x) {
  const double unit = x.scalar_type() == at::kBFloat16 ? 0x1p-8
                      : x.scalar_type() == at::kHalf   ? 0x1p-11
                                                       : kUnit;
  return (unit + 3.2 * kUnit) * pair_norms(x);
}

Bounded attend_exactly(const Layer& layer, const at::Tensor& x) {
  const int64_t tokens = x.size(1);
  const int64_t repeats = layer.num_heads_q / layer.num_heads_k;
  const at::Tensor pos = at::arange(tokens, x.options().dtype(at::kLong));
  const at::Tensor& inv_freq = *layer.rotation.inv_freq;

  const Bounded qkv = product(given(x), transposed(given(layer.qkv_weight)), 0);
  const Bounded q = rotated(heads_of(qkv, layer, 0, layer.num_heads_q), pos, inv_freq);
  const Bounded k =
      rotated(heads_of(qkv, layer, layer.num_heads_q, layer.num_heads_k), pos, inv_freq);
  const Bounded v = heads_of(qkv, layer, layer.num_heads_q + layer.num_heads_k, layer.num_heads_k);

  // The factor 1/√head_dim may be rounded in, as a root, on both sides: six roundings more.
  Bounded scores = product(by_head(q, 1), transposed(by_head(k, repeats)), layer.head_dim + 6);
  const double scale = 1 / std::sqrt(static_cast<double>(layer.head_dim));
  scores = {scores.value * scale, scores.error * scale};
  const at::Tensor hidden = pos.unsqueeze(0) > pos.unsqueeze(1);
  const Bounded attended = product(softmax_of_seen(scores, hidden), by_head(v, repeats), tokens);

  const auto joined = [](const at::Tensor& t) { return t.transpose(1, 2).flatten(2); };
  return product({joined(attended.value), joined(attended.error)},
                 transposed(given(layer.out_weight)), layer.out_weight.size(1));
}
