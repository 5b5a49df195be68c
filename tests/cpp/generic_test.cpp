// kernels/cpu/pack_generic.h, what a processor without a pack of its own gets, against the baseline
// backend of this one: calls have the same bits.
#include <rope/kernels.h>

#include <string>
#include <tuple>

#include <gtest/gtest.h>

#include "backends.h"
#include "call.h"

namespace rope {

extern const Backend kBackendGeneric;

namespace test {
namespace {

void expect_as_the_baseline(const Case& spec) {
  const WithBackend chosen(kBaseline);
  Call expected = make_call(spec);
  ASSERT_EQ(run_cpu(expected.params), Status::kSuccess);
  Call got = make_call(spec);
  const Params& params = got.params;
  kBackendGeneric.rotate(params, 0, params.num_batches * params.num_tokens);
  EXPECT_EQ(first_difference(expected, got), "");
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  return name_of(info.param);
}

class Generic : public testing::TestWithParam<Case> {};

TEST_P(Generic, RotatesAsTheBaseline) {
  expect_as_the_baseline(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Corpus, Generic, testing::ValuesIn(corpus()), case_name);

// What is left of a row behind its whole registers is of every size.
class GenericWidth : public testing::TestWithParam<std::tuple<Dtype, Pairing, int32_t>> {};

TEST_P(GenericWidth, RotatesAsTheBaseline) {
  Case spec;
  std::tie(spec.dtype, spec.pairing, spec.rotary_dim) = GetParam();
  expect_as_the_baseline(spec);
}

INSTANTIATE_TEST_SUITE_P(Even, GenericWidth,
                         testing::Combine(testing::Values(Dtype::kFloat32, Dtype::kFloat16,
                                                          Dtype::kBFloat16),
                                          testing::Values(Pairing::kSplit, Pairing::kInterleaved),
                                          testing::Range(2, 70, 2)));

}  // namespace
}  // namespace test
}  // namespace rope
