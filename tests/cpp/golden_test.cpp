// Results against the committed hashes of tests/golden: every instruction set, two threads, every
// kernel of the executor, every place in memory. Guarantees 2 and 5 of the numeric contract.
#include "../golden/golden.h"

#include <rope/kernels.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "backends.h"
#include "executor.h"
#include "executor_memory.h"
#include "launches.h"

namespace rope::test {
namespace {

void expect_golden(const Case& spec, const Call& call) {
  EXPECT_EQ(complaint_about(name_of(content_of(spec)), hash_of(call)), "");
}

// ---- every instruction set

class GoldenCall : public testing::TestWithParam<std::tuple<std::string, Case>> {};

TEST_P(GoldenCall, HasItsHash) {
  const auto& [name, spec] = GetParam();
  const WithBackend chosen(name);
  const Call call = make_call(spec);
  ASSERT_EQ(run_cpu(call.params), Status::kSuccess);
  expect_golden(spec, call);
}

std::string call_name(const testing::TestParamInfo<std::tuple<std::string, Case>>& info) {
  return identifier(std::get<0>(info.param)) + "_" + name_of(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Of, GoldenCall,
                         testing::Combine(testing::ValuesIn(all_backends_here()),
                                          testing::ValuesIn(golden_cases())),
                         call_name);

class GoldenTable : public testing::TestWithParam<std::tuple<std::string, TableCase>> {};

TEST_P(GoldenTable, HasItsHash) {
  const auto& [name, spec] = GetParam();
  const WithBackend chosen(name);
  const std::vector<uint64_t> turns = turns_of_table(spec);
  std::vector<float> out(static_cast<size_t>(2 * kTableRows * spec.num_pairs));
  TableParams params = table_params(spec);
  params.turns = turns.data();
  params.out = out.data();
  // In two parts, the second one first.
  ASSERT_EQ(fill_table_cpu(params, 27, kTableRows), Status::kSuccess);
  ASSERT_EQ(fill_table_cpu(params, 0, 27), Status::kSuccess);
  EXPECT_EQ(complaint_about(name_of(spec), hash_of(out)), "");
}

std::string table_name(const testing::TestParamInfo<std::tuple<std::string, TableCase>>& info) {
  return identifier(std::get<0>(info.param)) + "_" + name_of(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Of, GoldenTable,
                         testing::Combine(testing::ValuesIn(all_backends_here()),
                                          testing::ValuesIn(table_cases())),
                         table_name);

template <class Number>
std::string complaint_about_turns(const char* name, const std::vector<Number>& frequencies) {
  std::vector<uint64_t> turns;
  for (const Number one : frequencies) {
    turns.push_back(turns_from_frequency(static_cast<double>(one)));
  }
  return complaint_about(name, hash_of(turns));
}

TEST(GoldenTurns, OfFloat32HaveTheirHash) {
  EXPECT_EQ(complaint_about_turns("turns_f32", float32_frequencies()), "");
}

TEST(GoldenTurns, OfFloat64HaveTheirHash) {
  EXPECT_EQ(complaint_about_turns("turns_f64", float64_frequencies()), "");
}

// ---- two threads

class GoldenThreads : public testing::TestWithParam<Case> {};

// Slices of three tokens by turns, so that the threads write side by side.
TEST_P(GoldenThreads, HaveTheHash) {
  const Call call = make_call(GetParam());
  const int64_t count = GetParam().batches * GetParam().tokens;
  const auto work = [&](int64_t start) {
    for (int64_t first = start; first < count; first += 6) {
      const int64_t last = first + 3 < count ? first + 3 : count;
      EXPECT_EQ(run_cpu(call.params, first, last), Status::kSuccess);
    }
  };
  std::thread other(work, 3);
  work(0);
  other.join();
  expect_golden(GetParam(), call);
}

INSTANTIATE_TEST_SUITE_P(Of, GoldenThreads, testing::ValuesIn(golden_cases()), case_name);

// ---- every vector width and number of heads a thread takes

class GoldenExecutor : public testing::TestWithParam<Case> {};

TEST_P(GoldenExecutor, HasTheHash) {
  Call call = make_call(GetParam());
  Checker checker(call.blocks);
  CheckedMemory memory = {&checker};
  execute(call.params, launches_of(call.params, facts_of(GetParam())), {1, 1}, memory);
  expect_golden(GetParam(), call);
}

// executor_test.cpp asserts that these cases reach every kernel there is.
INSTANTIATE_TEST_SUITE_P(Kernels, GoldenExecutor, testing::ValuesIn(kernel_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Contents, GoldenExecutor, testing::ValuesIn(content_cases()), case_name);

// ---- every place in memory

// Storage offsets of 0 to 8 elements in every layout, in place and not.
std::vector<Case> places_of(const Case& content) {
  std::vector<Case> cases;
  for (const Layout layout : {Layout::kContiguous, Layout::kPacked, Layout::kTransposed}) {
    for (int32_t first = 0; first <= 8; ++first) {
      for (const bool in_place : {false, true}) {
        cases.push_back(content);
        cases.back().layout = layout;
        cases.back().first = first;
        cases.back().in_place = in_place;
      }
    }
  }
  return cases;
}

std::vector<Case> placed_cases() {
  std::vector<Case> cases;
  for (const Case& content : kernel_cases()) {
    if (content.rotary_dim != 20 || content.crowded || content.first != 0) continue;
    const std::vector<Case> places = places_of(content);
    cases.insert(cases.end(), places.begin(), places.end());
  }
  return cases;
}

class GoldenPlace : public testing::TestWithParam<Case> {};

TEST_P(GoldenPlace, HasTheHash) {
  const Call call = make_call(GetParam());
  ASSERT_EQ(run_cpu(call.params), Status::kSuccess);
  expect_golden(GetParam(), call);
}

INSTANTIATE_TEST_SUITE_P(Of, GoldenPlace, testing::ValuesIn(placed_cases()), case_name);
// Strided positions, padded and strided tables, offsets of either type: contents of others.
INSTANTIATE_TEST_SUITE_P(Corpus, GoldenPlace, testing::ValuesIn(corpus()), case_name);

// ---- the hashes themselves

TEST(GoldenHash, IsThatOfItsAuthors) {
  const auto hash = [](const std::string& text) {
    Hash result;
    for (const char letter : text) result.add(static_cast<uint8_t>(letter), 1);
    return result.value();
  };
  EXPECT_EQ(hash(""), 0xcbf29ce484222325);
  EXPECT_EQ(hash("a"), 0xaf63dc4c8601ec8c);
  EXPECT_EQ(hash("foobar"), 0x85944171f73967e8);
}

TEST(GoldenHash, ExistsOnceForAllThatIsHashed) {
  std::multiset<std::string> names;
  for (const Golden& one : golden_hashes()) names.insert(one.name);
  std::multiset<std::string> expected = {"turns_f32", "turns_f64"};
  for (const Case& spec : golden_cases()) expected.insert(name_of(spec));
  for (const TableCase& spec : table_cases()) expected.insert(name_of(spec));
  EXPECT_EQ(names, expected);
}

TEST(GoldenHash, IsMissedByName) {
  EXPECT_EQ(complaint_about("nobody", 1), "nobody has no hash in hashes.inc");
}

// The element of that number, counted as it lies in memory, of a contiguous float16 call's q.
uint64_t hash_with(size_t element, uint16_t bits) {
  Case spec;
  spec.dtype = Dtype::kFloat16;
  spec.rotary_dim = 2;
  const Call call = make_call(spec);
  std::memcpy(call.blocks.front().data() + 2 * element, &bits, sizeof(bits));
  return hash_of(call);
}

TEST(GoldenHash, SeesTheLastBitOfARotatedComponent) {
  EXPECT_NE(hash_with(1, 0x3c00), hash_with(1, 0x3c01));
}

TEST(GoldenHash, TakesEveryNaNForTheSame) {
  EXPECT_EQ(hash_with(1, 0x7e00), hash_with(1, 0xfc01));
  EXPECT_NE(hash_with(1, 0x7e00), hash_with(1, 0x7c00));
}

TEST(GoldenHash, IgnoresWhatIsNotRotated) {
  EXPECT_EQ(hash_with(2, 0x3c00), hash_with(2, 0x3c01));
}

}  // namespace
}  // namespace rope::test
