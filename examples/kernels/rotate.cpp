// Rotates a packed projection on the CPU without torch, from two threads, and compares the result
// with long double arithmetic; then rotates with a cached table and finds the same bits.
// Status 1 where a difference exceeds its bound.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <thread>

#include "projection.h"

namespace {

constexpr int64_t kNumTokens = 96;

std::vector<int64_t> positions_from(int64_t first) {
  std::vector<int64_t> positions(kNumTokens);
  std::iota(positions.begin(), positions.end(), first);
  return positions;
}

// A call runs on the calling thread; slices of its tokens may run at the same time.
void run_on_two_threads(const rope::Params& params) {
  const int64_t half = kNumTokens / 2;
  auto status = rope::Status::kSuccess;
  std::thread other([&] { status = rope::run_cpu(params, half, kNumTokens); });
  require(rope::run_cpu(params, 0, half), "rope::run_cpu");
  other.join();
  require(status, "rope::run_cpu");
}

// The largest |ŷ − y| / bound over all components. Half an ulp of a float32 result is at most
// 2^-24·‖pair‖, which with Rope's 3.1·2^-24·‖pair‖ and terms of second order makes 4.2·2^-24; turns
// add |p|·2π·2^-65. The angle p·f, in long double, is itself off by at most p·f·2^-64, f ≤ 1.
double largest_share_of_bound(const std::vector<float>& before, const std::vector<float>& after,
                              const std::vector<int64_t>& positions,
                              const std::vector<double>& inv_freq) {
  double largest = 0.0;
  for (int64_t at = 0; at < kNumTokens * kRow; at += kHeadDim) {
    const auto position = static_cast<long double>(positions[at / kRow]);
    for (int64_t pair = 0; pair < kNumPairs; ++pair) {
      const long double angle = position * inv_freq[pair];
      const long double x = before[at + pair];
      const long double y = before[at + kNumPairs + pair];
      const long double x_error = after[at + pair] - (x * cosl(angle) - y * sinl(angle));
      const long double y_error =
          after[at + kNumPairs + pair] - (x * sinl(angle) + y * cosl(angle));
      const long double bound = (ldexpl(4.2L, -24) + position * ldexpl(5.2L, -64)) * hypotl(x, y);
      const long double error = fmaxl(fabsl(x_error), fabsl(y_error));
      largest = std::max(largest, static_cast<double>(error / bound));
    }
  }
  return largest;
}

bool check_against_long_double(const std::vector<double>& inv_freq,
                               const std::vector<uint64_t>& turns) {
  const std::vector<int64_t> positions = positions_from(int64_t{1} << 20);
  const std::vector<float> before = random_rows(kNumTokens);
  std::vector<float> after = before;
  run_on_two_threads(in_place(after.data(), kNumTokens, positions.data(), turns));
  const double share = largest_share_of_bound(before, after, positions, inv_freq);
  std::printf("positions 2^20 and up, against long double: %.2f of the bound\n", share);
  return share <= 1.0;
}

bool check_table(const std::vector<uint64_t>& turns) {
  std::vector<float> cos_sin(kNumTokens * 2 * kNumPairs);
  rope::TableParams table;
  table.turns = turns.data();
  table.num_pairs = kNumPairs;
  table.num_rows = kNumTokens;
  table.out = cos_sin.data();
  require(rope::fill_table_cpu(table, 0, kNumTokens), "rope::fill_table_cpu");

  const std::vector<int64_t> positions = positions_from(0);
  std::vector<float> computed = random_rows(kNumTokens);
  std::vector<float> looked_up = computed;
  require(rope::run_cpu(in_place(computed.data(), kNumTokens, positions.data(), turns)),
          "rope::run_cpu");
  rope::Params params = in_place(looked_up.data(), kNumTokens, positions.data(), turns);
  params.table.cos = cos_sin.data();
  params.table.sin = cos_sin.data() + kNumPairs;
  params.table.num_rows = kNumTokens;
  params.table.stride.token = 2 * kNumPairs;
  require(rope::run_cpu(params), "rope::run_cpu");
  const size_t bytes = computed.size() * sizeof(float);
  const bool same = std::memcmp(computed.data(), looked_up.data(), bytes) == 0;
  std::printf("cached table against computed angles: %s\n", same ? "the same bits" : "DIFFERENT");
  return same;
}

}  // namespace

int main() {
  const rope::schedules::Schedule schedule = rope::schedules::default_(kHeadDim, 500000.0);
  const std::vector<uint64_t> turns = turns_of(schedule);
  const bool exact = check_against_long_double(schedule.inv_freq, turns);
  const bool same = check_table(turns);
  return exact && same ? 0 : 1;
}
