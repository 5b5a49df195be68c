// Each function shows one way to call Rope and judges the result.
#include "rotations.h"

#include <ATen/ATen.h>
#include <rope/rope.h>

#include "exact.h"

namespace {

constexpr int64_t kHeadDim = 128;
constexpr int64_t kTokens = 64;

at::Tensor random_heads(c10::Device device, int64_t num_heads) {
  return at::randn({1, kTokens, num_heads, kHeadDim}, at::device(device).dtype(at::kFloat));
}

at::Tensor far_positions(c10::Device device) {
  const int64_t end = int64_t{1} << 20;
  return at::arange(end - kTokens, end, at::device(device).dtype(at::kLong));
}

// A schedule is a list of float64 frequencies, taken as exact.
at::Tensor inv_freq_of(const rope::schedules::Schedule& schedule) {
  return at::tensor(schedule.inv_freq, at::kDouble);
}

void check_in_place(Report& report, c10::Device device, at::ScalarType dtype, const char* what) {
  const at::Tensor pos = far_positions(device);
  rope::Options options;
  options.inv_freq = inv_freq_of(rope::schedules::llama3(kHeadDim, 500000.0, 8.0, 1.0, 4.0, 8192));
  const at::Tensor before = random_heads(device, 8).to(dtype);
  const at::Tensor q = before.clone();
  rope::apply(q, std::nullopt, pos, options);
  const at::Tensor exact = rotate_exactly(before, pos, *options.inv_freq);

  const at::Tensor timed = before.clone();
  const double time = milliseconds_of([&] {
    rope::apply(timed, std::nullopt, pos, options);
    return timed;
  });
  report.within(what, q, exact, rotation_bound(before), time);
}

// The backward pass is the inverse rotation of the gradient that comes in, here weight.
void check_gradient(Report& report, c10::Device device) {
  const at::Tensor pos = far_positions(device);
  const at::Tensor q = random_heads(device, 8).set_requires_grad(true);
  const at::Tensor k = random_heads(device, 2).set_requires_grad(true);
  const at::Tensor weight = random_heads(device, 8);
  const auto schedule = rope::schedules::linear(kHeadDim, 10000.0, 4.0);
  rope::Options options;
  options.inv_freq = inv_freq_of(schedule);
  const auto [q_rotated, k_rotated] = rope::rotate_qk(q, k, pos, options);
  ((q_rotated * weight).sum() + k_rotated.sum()).backward();

  const at::Tensor q_exact = q.detach().to(at::kDouble).set_requires_grad(true);
  (rotate_exactly(q_exact, pos, *options.inv_freq) * weight).sum().backward();
  report.within("gradient of rope::rotate_qk, float32, linear scaling", q.grad(), q_exact.grad(),
                rotation_bound(weight));
}

at::Tensor pair_norms(const at::Tensor& x) {
  const auto halves = x.to(at::kDouble).chunk(2, -1);
  return at::hypot(halves[0], halves[1]);
}

// Frequencies that are learned sum p · (x'·gy − y'·gx) over tokens and heads. With u = 2^-24 each
// of x' and y' is off by 4.2u · ‖pair‖ (rotation_bound), products and their difference by 2.2u of
// |x'·gy| + |y'·gx|: in all (4.2·√2 + 2.2)u < 8.2u of p · ‖pair‖ · ‖gradient‖.
void check_learned_frequencies(Report& report, c10::Device device) {
  const at::Tensor pos = far_positions(device);
  const at::Tensor x = random_heads(device, 8);
  const at::Tensor weight = random_heads(device, 8);
  const at::Tensor given = inv_freq_of(rope::schedules::default_(kHeadDim, 10000.0)).to(device);
  const at::Tensor learned = given.clone().set_requires_grad(true);
  rope::Options options;
  options.inv_freq = learned;
  (rope::rotate(x, pos, options) * weight).sum().backward();

  const at::Tensor exact = given.clone().set_requires_grad(true);
  (rotate_exactly(x, pos, exact) * weight).sum().backward();
  const at::Tensor terms = 0x1p20 * pair_norms(x) * pair_norms(weight);
  report.within("gradient to inv_freq, float32, positions below 2^20", learned.grad(), exact.grad(),
                8.2 * 0x1p-24 * terms.sum({0, 1, 2}));
}

void check_table(Report& report, c10::Device device) {
  const auto schedule = rope::schedules::ntk(kHeadDim, 10000.0, 8.0);
  const at::Tensor pos = at::arange(kTokens, at::device(device).dtype(at::kLong));
  const at::Tensor x = random_heads(device, 8);
  rope::Options computed;
  computed.inv_freq = inv_freq_of(schedule);
  rope::Options cached;
  cached.cos_sin = rope::cos_sin_table(computed.inv_freq->to(device), kTokens);
  report.same_bits("a cached table against computed angles, NTK scaling",
                   at::equal(rope::rotate(x, pos, cached), rope::rotate(x, pos, computed)));
}

void check_token_by_token(Report& report, c10::Device device) {
  const at::Tensor pos = far_positions(device);
  const at::Tensor x = random_heads(device, 8);
  const at::Tensor one_by_one = x.clone();
  for (int64_t token = 0; token < kTokens; ++token)
    rope::apply(one_by_one.narrow(1, token, 1), std::nullopt, pos.narrow(0, token, 1));
  report.same_bits("token by token against all at once",
                   at::equal(one_by_one, rope::rotate(x, pos)));
}

}  // namespace

void check_rotations(Report& report, c10::Device device) {
  check_in_place(report, device, at::kFloat, "rope::apply, float32, positions below 2^20");
  check_in_place(report, device, at::kBFloat16, "rope::apply, bfloat16");
  check_in_place(report, device, at::kHalf, "rope::apply, float16");
  check_gradient(report, device);
  check_learned_frequencies(report, device);
  check_table(report, device);
  check_token_by_token(report, device);
}
