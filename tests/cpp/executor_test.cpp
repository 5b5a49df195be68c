// Every thread of the planned CUDA grids, run on the CPU (executor.h), against the CPU backend's
// own traversal: the same bits in every byte, no access that the call does not allow, nothing left
// out.
#include "executor.h"

#include <rope/kernels.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "call.h"
#include "executor_memory.h"
#include "launches.h"

namespace rope::test {
namespace {

class Executor : public testing::TestWithParam<Case> {
 protected:
  static Call expected() {
    Call call = make_call(GetParam());
    EXPECT_EQ(run_cpu(call.params), Status::kSuccess);
    return call;
  }

  static void expect_same(Call& call, const Params& params, const std::vector<Plan>& launches,
                          const Surplus& surplus, uint64_t seed) {
    Checker checker(call.blocks);
    CheckedMemory memory = {&checker};
    execute(params, launches, surplus, memory, seed);
    ASSERT_TRUE(checker.violations().empty()) << checker.violations().front().text;
    EXPECT_EQ(count_missing_stores(call), 0u);
    EXPECT_EQ(first_difference(expected(), call), "");
  }
};

TEST_P(Executor, HasTheBitsOfTheCpu) {
  Call call = make_call(GetParam());
  const Params params = merge_batches(call.params);
  expect_same(call, params, launches_of(params, facts_of(GetParam())), {2, 1}, 1);
}

TEST_P(Executor, HasThemInManyLaunchesToo) {
  Call call = make_call(GetParam());
  const std::vector<Plan> whole = launches_of(call.params, facts_of(GetParam()));
  expect_same(call, call.params, split_launches(whole), {1, 1}, 2);
}

INSTANTIATE_TEST_SUITE_P(Corpus, Executor, testing::ValuesIn(corpus()), case_name);

// Which kernel a launch runs: type, pairing, bytes, heads, source.
using Kernel = std::tuple<Dtype, Pairing, int32_t, int32_t, Source>;

TEST(CorpusTest, ReachesEveryKernel) {
  std::set<Kernel> reached;
  for (const Case& spec : corpus()) {
    const Call call = make_call(spec);
    const Plan plan = make_plan(merge_batches(call.params), facts_of(spec));
    reached.insert(
        {spec.dtype, spec.pairing, plan.vector_bytes, plan.heads_per_thread, plan.source});
  }
  // Common calls, computed or from a table: 16 bytes with 1, 2, 4 and 5 heads, 32 with 1 and 2.
  // General ones: 16 bytes with 1, 2 and 4 heads, 8 and 4 bytes, and 2 in the two 16-bit types.
  const size_t kOfEachType = 2 * 6 + 5;
  EXPECT_EQ(reached.size(), 2 * (3 * kOfEachType + 2));
}

TEST(CorpusTest, SplitsACallIntoLaunches) {
  size_t most = 0;
  for (const Case& spec : layout_cases()) {
    const Call call = make_call(spec);
    most = std::max(most, launches_of(merge_batches(call.params), facts_of(spec)).size());
  }
  EXPECT_GE(most, 2u);
}

TEST(ExecutorTest, TellsAnObserverEveryAccess) {
  Case spec;
  spec.in_place = false;
  Call call = make_call(spec);
  Checker checker(call.blocks);
  size_t loaded = 0;
  size_t stored = 0;
  checker.observer = [&](const Access& access) {
    loaded += access.kind == AccessKind::kLoad ? access.bytes : 0;
    stored += access.kind == AccessKind::kStore ? access.bytes : 0;
  };
  CheckedMemory memory = {&checker};
  execute(call.params, launches_of(call.params, facts_of(spec)), {}, memory);
  // Every rotated component once: two batches of five tokens, 3 + 2 heads of 32 bfloat16.
  const size_t bytes = 2 * 5 * 5 * 32 * 2;
  EXPECT_EQ(loaded, bytes);
  EXPECT_EQ(stored, bytes);
}

}  // namespace
}  // namespace rope::test
