// Every instruction set's backend that this processor runs, against the baseline one: calls and
// tables have the same bits on all of them.
#include "cpu/backend.h"

#include <rope/kernels.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "backends.h"
#include "call.h"

namespace rope::test {
namespace {

// The others; where there is none, the baseline must still agree with itself.
std::vector<std::string> backends_here() {
  std::vector<std::string> names = all_backends_here();
  if (names.size() > 1) names.erase(std::find(names.begin(), names.end(), kBaseline));
  return names;
}

Call rotated_on(const std::string& name, const Case& spec) {
  const WithBackend chosen(name);
  Call call = make_call(spec);
  EXPECT_EQ(run_cpu(call.params), Status::kSuccess);
  return call;
}

class Backend : public testing::TestWithParam<std::tuple<std::string, Case>> {};

TEST_P(Backend, RotatesAsTheBaseline) {
  const auto& [name, spec] = GetParam();
  const Call expected = rotated_on(kBaseline, spec);
  EXPECT_EQ(first_difference(expected, rotated_on(name, spec)), "");
}

std::string backend_case_name(const testing::TestParamInfo<std::tuple<std::string, Case>>& info) {
  return identifier(std::get<0>(info.param)) + "_" + name_of(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Corpus, Backend,
                         testing::Combine(testing::ValuesIn(backends_here()),
                                          testing::ValuesIn(corpus())),
                         backend_case_name);

// What is left of a row behind its whole registers is of every size.
class BackendWidth
    : public testing::TestWithParam<std::tuple<std::string, Dtype, Pairing, bool, int32_t>> {};

Case case_of_width(Dtype dtype, Pairing pairing, bool in_place, int32_t rotary_dim) {
  Case spec;
  spec.dtype = dtype;
  spec.pairing = pairing;
  spec.in_place = in_place;
  spec.rotary_dim = rotary_dim;
  return spec;
}

TEST_P(BackendWidth, RotatesAsTheBaseline) {
  const auto& [name, dtype, pairing, in_place, rotary_dim] = GetParam();
  const Case spec = case_of_width(dtype, pairing, in_place, rotary_dim);
  EXPECT_EQ(first_difference(rotated_on(kBaseline, spec), rotated_on(name, spec)), "");
}

std::string width_name(const testing::TestParamInfo<BackendWidth::ParamType>& info) {
  const auto& [name, dtype, pairing, in_place, rotary_dim] = info.param;
  return identifier(name) + "_" + name_of(case_of_width(dtype, pairing, in_place, rotary_dim));
}

INSTANTIATE_TEST_SUITE_P(Even, BackendWidth,
                         testing::Combine(testing::ValuesIn(backends_here()),
                                          testing::Values(Dtype::kFloat32, Dtype::kFloat16,
                                                          Dtype::kBFloat16),
                                          testing::Values(Pairing::kSplit, Pairing::kInterleaved),
                                          testing::Bool(), testing::Range(2, 292, 2)),
                         width_name);

class BackendTable : public testing::TestWithParam<std::tuple<std::string, int32_t>> {};

std::vector<float> filled_on(const std::string& name, int32_t num_pairs, int64_t start) {
  const WithBackend chosen(name);
  std::mt19937_64 random(static_cast<uint64_t>(num_pairs));
  std::vector<uint64_t> turns;
  for (int32_t i = 0; i < num_pairs; ++i) turns.push_back(random());
  turns.back() = kInvalidTurns;
  TableParams params;
  params.turns = turns.data();
  params.num_pairs = num_pairs;
  params.num_rows = 200;
  params.start = start;
  params.may_be_invalid = true;
  params.attention_factor = 1.2079441f;
  std::vector<float> out(static_cast<size_t>(2 * params.num_rows * num_pairs));
  params.out = out.data();
  // In two parts, the second one first.
  EXPECT_EQ(fill_table_cpu(params, 77, 200), Status::kSuccess);
  EXPECT_EQ(fill_table_cpu(params, 0, 77), Status::kSuccess);
  return out;
}

TEST_P(BackendTable, IsThatOfTheBaseline) {
  const auto& [name, num_pairs] = GetParam();
  for (const int64_t start : {int64_t{0}, int64_t{-100}, int64_t{1} << 40}) {
    const std::vector<float> expected = filled_on(kBaseline, num_pairs, start);
    const std::vector<float> got = filled_on(name, num_pairs, start);
    EXPECT_EQ(std::memcmp(expected.data(), got.data(), sizeof(float) * got.size()), 0);
  }
}

std::string table_name(const testing::TestParamInfo<std::tuple<std::string, int32_t>>& info) {
  return identifier(std::get<0>(info.param)) + "_" + std::to_string(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(OfPairs, BackendTable,
                         testing::Combine(testing::ValuesIn(backends_here()),
                                          testing::Values(1, 3, 16, 31, 64, 512)),
                         table_name);

TEST(BackendTest, OfAnUnknownNameIsRefused) {
  const char* const before = backend().name;
  EXPECT_FALSE(use_backend("x86-64-v9"));
  EXPECT_STREQ(backend().name, before);
}

}  // namespace
}  // namespace rope::test
