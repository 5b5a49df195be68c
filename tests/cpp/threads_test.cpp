// Many threads in the library at once: the choice of a backend, shared inputs and slices side by
// side, tables, schedules. The results are those of one thread, here and in a build under
// ThreadSanitizer, which tells of races that did no harm this time (scripts/sanitizers).
#include <rope/kernels.h>
#include <rope/schedules.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "backends.h"
#include "call.h"

namespace rope::test {
namespace {

constexpr int kThreads = 4;

// Calls work(0) … work(kThreads − 1), each in a thread of its own, none before all are there.
void run_at_once(const std::function<void(int)>& work) {
  std::atomic<int> missing{kThreads};
  std::vector<std::thread> threads;
  for (int number = 0; number < kThreads; ++number) {
    threads.emplace_back([&missing, &work, number] {
      --missing;
      while (missing.load() > 0) std::this_thread::yield();
      work(number);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

Case case_of(Angles angles, Positions positions) {
  Case spec;
  spec.tokens = 50;
  spec.rotary_dim = 40;  // registers and a rest
  spec.angles = angles;
  spec.positions = positions;
  return spec;
}

Call expected_call(const Case& spec) {
  Call call = make_call(spec);
  EXPECT_EQ(run_cpu(call.params), Status::kSuccess);
  return call;
}

// First in this file, and so, under ctest, in its process: no backend was chosen before.
TEST(Threads, MayAllMakeTheFirstCall) {
  const Case spec = case_of(Angles::kComputed, Positions::kInt64);
  std::vector<Call> calls;
  for (int i = 0; i < kThreads; ++i) calls.push_back(make_call(spec));
  run_at_once([&](int number) {
    const Params& params = calls[static_cast<size_t>(number)].params;
    EXPECT_EQ(run_cpu(params), Status::kSuccess);
  });
  const Call expected = expected_call(spec);
  for (const Call& call : calls) EXPECT_EQ(first_difference(expected, call), "");
}

class SharedCall : public testing::TestWithParam<Case> {};

// Each takes every fourth token, so that neighbours in memory are written by different threads.
TEST_P(SharedCall, IsRotatedInSlices) {
  const Call call = make_call(GetParam());
  const int64_t count = GetParam().batches * GetParam().tokens;
  run_at_once([&](int number) {
    for (int64_t token = number; token < count; token += kThreads) {
      EXPECT_EQ(run_cpu(call.params, token, token + 1), Status::kSuccess);
    }
  });
  EXPECT_EQ(first_difference(expected_call(GetParam()), call), "");
}

INSTANTIATE_TEST_SUITE_P(Of, SharedCall,
                         testing::Values(case_of(Angles::kComputed, Positions::kCounted),
                                         case_of(Angles::kTable, Positions::kShared),
                                         case_of(Angles::kShortTable, Positions::kStrided),
                                         case_of(Angles::kPerHead, Positions::kThreeAxes),
                                         case_of(Angles::kPerTokenAndHead, Positions::kSkipping)),
                         case_name);

// What use_backend promises: calls that run meanwhile get the old one or the new one.
TEST(Threads, MayForceABackendMeanwhile) {
  const Case spec = case_of(Angles::kComputed, Positions::kAnyInt64);
  const Call expected = expected_call(spec);
  const std::vector<std::string> names = all_backends_here();
  std::vector<Call> calls;
  for (int i = 0; i < kThreads; ++i) calls.push_back(make_call(spec));
  run_at_once([&](int number) {
    const Params& params = calls[static_cast<size_t>(number)].params;
    const int64_t count = spec.batches * spec.tokens;
    for (int64_t token = 0; token < count; ++token) {
      const std::string& name = names[static_cast<size_t>(token + number) % names.size()];
      EXPECT_TRUE(use_backend(name.c_str()));
      EXPECT_EQ(run_cpu(params, token, token + 1), Status::kSuccess);
    }
  });
  use_backend(nullptr);
  for (const Call& call : calls) EXPECT_EQ(first_difference(expected, call), "");
}

TEST(Threads, FillOneTable) {
  constexpr int32_t kPairs = 19;
  constexpr int64_t kRows = 200;
  std::vector<uint64_t> turns;
  for (int32_t i = 0; i < kPairs; ++i) turns.push_back(turns_from_frequency(1.0 / (1 + i)));
  const auto fill = [&](std::vector<float>& out, int64_t first, int64_t last) {
    TableParams params;
    params.turns = turns.data();
    params.num_pairs = kPairs;
    params.num_rows = kRows;
    params.start = -7;
    params.out = out.data();
    EXPECT_EQ(fill_table_cpu(params, first, last), Status::kSuccess);
  };
  std::vector<float> expected(2 * kPairs * kRows);
  fill(expected, 0, kRows);
  std::vector<float> together(expected.size());
  run_at_once([&](int number) {
    for (int64_t row = number; row < kRows; row += kThreads) fill(together, row, row + 1);
  });
  EXPECT_EQ(together, expected);
}

TEST(Threads, BuildSchedules) {
  const auto build = [](int number) {
    const double base = 10000.0 + number;
    std::vector<uint64_t> turns;
    for (const auto& schedule :
         {schedules::default_(128, base), schedules::llama3(128, base, 8.0, 1.0, 4.0, 8192.0),
          schedules::yarn(64, base, 4.0, 4096.0), schedules::axial({16, 56, 56}, base)}) {
      for (const double frequency : schedule.inv_freq) {
        turns.push_back(turns_from_frequency(frequency));
      }
    }
    return turns;
  };
  std::vector<std::vector<uint64_t>> together(kThreads);
  run_at_once([&](int number) { together[static_cast<size_t>(number)] = build(number); });
  for (int i = 0; i < kThreads; ++i) EXPECT_EQ(together[static_cast<size_t>(i)], build(i));
}

}  // namespace
}  // namespace rope::test
