// Prefill and decode of one attention layer on rope::apply, judged by float64 arithmetic in torch's
// own operations. Usage: attention [cpu | cuda]. Status 1 where a difference exceeds its bound.

#include <ATen/ATen.h>
#include <rope/rope.h>

#include <cmath>
#include <cstdio>
#include <exception>
#include <vector>

#include "attention.h"
#include "exact.h"
#include "report.h"
#include "rotations.h"

namespace {

constexpr int64_t kBatch = 2;
constexpr int64_t kPrefill = 128;
constexpr int64_t kDecode = 32;
constexpr int64_t kHidden = 256;

// Inputs are multiples of 2^-3 up to 2, weights multiples of 2^-12 below 1/2. The sums of kHidden
// products are then multiples of 2^-15 below 2^8: float32 has them exactly, in any order, and the
// bound need not provide for the first projection.
at::Tensor random_input(int64_t tokens, at::TensorOptions options) {
  return at::randint(-16, 17, {kBatch, tokens, kHidden}, options) / 8;
}

at::Tensor random_weight(int64_t rows, int64_t columns, at::TensorOptions options) {
  const double scale = 1 / std::sqrt(static_cast<double>(columns));
  const at::Tensor weight = scale * at::randn({rows, columns}, options);
  return at::round(weight * 0x1p12).clamp(-0x1p11 + 1, 0x1p11 - 1) * 0x1p-12;
}

// Llama 3's frequencies and four heads of q to each of k.
Layer make_layer(at::TensorOptions options) {
  Layer layer;
  layer.num_heads_q = 8;
  layer.num_heads_k = 2;
  layer.head_dim = 64;
  const int64_t num_heads = layer.num_heads_q + 2 * layer.num_heads_k;
  layer.qkv_weight = random_weight(num_heads * layer.head_dim, kHidden, options);
  layer.out_weight = random_weight(kHidden, layer.num_heads_q * layer.head_dim, options);
  const auto schedule = rope::schedules::llama3(layer.head_dim, 500000.0, 8.0, 1.0, 4.0, 8192);
  layer.rotation.inv_freq = at::tensor(schedule.inv_freq, at::kDouble);
  return layer;
}

// The output for the tokens after the first kPrefill, which fill the cache.
at::Tensor decode(const Layer& layer, const at::Tensor& x, KvCache& cache) {
  std::vector<at::Tensor> outputs;
  for (int64_t token = kPrefill; token < x.size(1); ++token)
    outputs.push_back(attend(layer, x.narrow(1, token, 1), cache));
  return at::cat(outputs, 1);
}

void check_layer(Report& report, c10::Device device) {
  const auto options = at::device(device).dtype(at::kFloat);
  const Layer layer = make_layer(options);
  const int64_t tokens = kPrefill + kDecode;
  const at::Tensor x = random_input(tokens, options);
  const Bounded exact = attend_exactly(layer, x);

  const auto run_prefill = [&](int64_t length, KvCache& cache) {
    cache = make_cache(layer, kBatch, tokens);
    return attend(layer, x.narrow(1, 0, length), cache);
  };
  KvCache cache;
  const at::Tensor all_at_once = run_prefill(tokens, cache);
  report.within("prefill of 160 tokens against float64", all_at_once, exact.value, exact.error,
                milliseconds_of([&] { return run_prefill(tokens, cache); }));

  run_prefill(kPrefill, cache);
  const at::Tensor decoded = decode(layer, x, cache);
  const double time = milliseconds_of([&] {
    cache.length = kPrefill;
    return decode(layer, x, cache);
  });
  const at::Tensor value = exact.value.narrow(1, kPrefill, kDecode);
  const at::Tensor error = exact.error.narrow(1, kPrefill, kDecode);
  report.within("decode of 32 tokens after 128 against float64, per token", decoded, value, error,
                time / kDecode);
  // Both may miss the exact value by their bound, in opposite directions.
  report.within("decode against prefill", decoded,
                all_at_once.narrow(1, kPrefill, kDecode).to(at::kDouble), 2 * error);
}

}  // namespace

int main(int argc, char** argv) try {
  const c10::Device device(argc > 1 ? argv[1] : "cpu");
  at::manual_seed(1);
  Report::head();
  Report report;
  check_rotations(report, device);
  check_layer(report, device);
  return report.ok ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
