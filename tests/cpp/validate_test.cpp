// The checks of <rope/kernels.h>: every Status that a call can come to on a CPU, before anything is
// read or written; the addresses here are numbers.
#include <rope/kernels.h>

#include <cstdint>
#include <limits>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "fake_params.h"
#include "plan.h"

namespace rope {
namespace {

using test::fake_address;
using test::fake_params;

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

Params valid_params() {
  return fake_params({2, 5, 4, 2});
}

void give_table(Params& params) {
  params.table.cos = fake_address(0x40000);
  params.table.sin = fake_address(0x40100);
  params.table.num_rows = 8;
}

struct Refusal {
  const char* name;
  void (*spoil)(Params& params);
  Status status;
};

const Refusal kRefusals[] = {
    {"OlderStruct", [](Params& p) { p.size -= 8; }, Status::kParamsSize},
    {"Dtype", [](Params& p) { p.dtype = static_cast<Dtype>(3); }, Status::kEnumeration},
    {"Pairing", [](Params& p) { p.pairing = static_cast<Pairing>(-1); }, Status::kEnumeration},
    {"RotaryDimOdd", [](Params& p) { p.rotary_dim = 63; }, Status::kRotaryDim},
    {"RotaryDimZero", [](Params& p) { p.rotary_dim = 0; }, Status::kRotaryDim},
    {"RotaryDimNegative", [](Params& p) { p.rotary_dim = -2; }, Status::kRotaryDim},
    {"RotaryDimTooWide", [](Params& p) { p.rotary_dim = kMaxRotaryDim + 2; }, Status::kRotaryDim},
    {"BatchesNegative", [](Params& p) { p.num_batches = -1; }, Status::kExtent},
    {"TokensNegative", [](Params& p) { p.num_tokens = -1; }, Status::kExtent},
    {"QHeadsNegative", [](Params& p) { p.q.num_heads = -1; }, Status::kExtent},
    {"KHeadsNegative", [](Params& p) { p.k.num_heads = -1; }, Status::kExtent},
    {"SequencesNegative", [](Params& p) { p.num_sequences = -1; }, Status::kExtent},
    {"RowsNegative", [](Params& p) { p.table.num_rows = -1; }, Status::kExtent},
    {"TooManyTokens", [](Params& p) { p.num_tokens = kMost; }, Status::kExtent},
    {"TooManyHeads", [](Params& p) { p.q.num_heads = p.k.num_heads = kMost; }, Status::kExtent},
    {"SequencesInBatches", [](Params& p) { p.num_sequences = 2; }, Status::kExtent},
    {"NoAxis", [](Params& p) { p.num_axes = 0; }, Status::kAxes},
    {"NineAxes", [](Params& p) { p.num_axes = kMaxAxes + 1; }, Status::kAxes},
    {"NoAngles", [](Params& p) { p.frequencies.turns = nullptr; }, Status::kNoAngles},
    {"QInNull", [](Params& p) { p.q.in = nullptr; }, Status::kNullPointer},
    {"QOutNull", [](Params& p) { p.q.out = nullptr; }, Status::kNullPointer},
    {"KInNull", [](Params& p) { p.k.in = nullptr; }, Status::kNullPointer},
    {"KOutNull", [](Params& p) { p.k.out = nullptr; }, Status::kNullPointer},
    {"SineNull",
     [](Params& p) {
       give_table(p);
       p.table.sin = nullptr;
     },
     Status::kNullPointer},
    {"CuSeqlensNull",
     [](Params& p) {
       p.num_batches = 1;
       p.num_sequences = 2;
     },
     Status::kNullPointer},
    {"QInOdd", [](Params& p) { p.q.in = fake_address(0x10001); }, Status::kAlignment},
    {"QOutOdd", [](Params& p) { p.q.out = fake_address(0x10001); }, Status::kAlignment},
    {"Float32AtTwo",
     [](Params& p) {
       p.dtype = Dtype::kFloat32;
       p.k.in = fake_address(0x20002);
     },
     Status::kAlignment},
    {"PositionsAtFour", [](Params& p) { p.axes[0].positions = fake_address(0x50004); },
     Status::kAlignment},
    {"LastAxisAtTwo",
     [](Params& p) {
       p.num_axes = kMaxAxes;
       p.axes[kMaxAxes - 1] = {fake_address(0x50002), Integer::kInt32, 0, 1, false};
     },
     Status::kAlignment},
    {"OffsetsAtFour", [](Params& p) { p.offsets.data = fake_address(0x60004); },
     Status::kAlignment},
    {"CuSeqlensAtTwo",
     [](Params& p) {
       p.num_batches = 1;
       p.num_sequences = 2;
       p.cu_seqlens = {fake_address(0x60002), Integer::kInt32, 1};
     },
     Status::kAlignment},
    {"TurnsAtFour", [](Params& p) { p.frequencies.turns = fake_address<uint64_t>(0x30004); },
     Status::kAlignment},
    {"CosinesAtTwo",
     [](Params& p) {
       give_table(p);
       p.table.cos = fake_address(0x40002);
     },
     Status::kAlignment},
    {"SinesAtTwo",
     [](Params& p) {
       give_table(p);
       p.table.sin = fake_address(0x40102);
     },
     Status::kAlignment},
    {"PositionType", [](Params& p) { p.axes[0].type = static_cast<Integer>(2); },
     Status::kEnumeration},
    {"OffsetType", [](Params& p) { p.offsets.type = static_cast<Integer>(2); },
     Status::kEnumeration},
    {"TableType",
     [](Params& p) {
       give_table(p);
       p.table.dtype = static_cast<Dtype>(9);
     },
     Status::kEnumeration},
};

class Refused : public testing::TestWithParam<Refusal> {};

TEST_P(Refused, BeforeAnythingIsTouched) {
  Params params = valid_params();
  ASSERT_EQ(validate(params), Status::kSuccess);
  GetParam().spoil(params);
  EXPECT_EQ(validate(params), GetParam().status);
  EXPECT_EQ(run_cpu(params), GetParam().status);
  EXPECT_EQ(run_cpu(params, 0, 1), GetParam().status);
}

std::string refusal_name(const testing::TestParamInfo<Refusal>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Params, Refused, testing::ValuesIn(kRefusals), refusal_name);

TEST(ValidateTest, TakesAnyAddressOfNothing) {
  Params params = valid_params();
  params.num_tokens = 0;
  params.q.in = params.q.out = nullptr;
  params.frequencies.turns = nullptr;
  EXPECT_EQ(run_cpu(params), Status::kSuccess);
}

TEST(ValidateTest, TakesATensorThatIsNotThere) {
  Params params = valid_params();
  params.k = {};
  EXPECT_EQ(validate(params), Status::kSuccess);
}

TEST(RunCpuTest, RefusesTokensThatDoNotExist) {
  const Params params = valid_params();
  EXPECT_EQ(run_cpu(params, -1, 1), Status::kExtent);
  EXPECT_EQ(run_cpu(params, 0, 11), Status::kExtent);
  EXPECT_EQ(run_cpu(params, 7, 7), Status::kSuccess);
}

struct TableRefusal {
  const char* name;
  void (*spoil)(TableParams& params);
  Status status;
};

const TableRefusal kTableRefusals[] = {
    {"OlderStruct", [](TableParams& p) { p.size += 8; }, Status::kParamsSize},
    {"NoPairs", [](TableParams& p) { p.num_pairs = 0; }, Status::kRotaryDim},
    {"TooManyPairs", [](TableParams& p) { p.num_pairs = 513; }, Status::kRotaryDim},
    {"RowsNegative", [](TableParams& p) { p.num_rows = -1; }, Status::kExtent},
    {"TooManyRows", [](TableParams& p) { p.num_rows = kMost / 8; }, Status::kExtent},
    {"TurnsNull", [](TableParams& p) { p.turns = nullptr; }, Status::kNullPointer},
    {"OutNull", [](TableParams& p) { p.out = nullptr; }, Status::kNullPointer},
    {"TurnsAtFour", [](TableParams& p) { p.turns = fake_address<uint64_t>(0x30004); },
     Status::kAlignment},
    {"OutAtTwo", [](TableParams& p) { p.out = fake_address<float>(0x40002); }, Status::kAlignment},
};

TableParams valid_table() {
  TableParams params;
  params.turns = fake_address<uint64_t>(0x30000);
  params.num_pairs = 64;
  params.num_rows = 10;
  params.out = fake_address<float>(0x40000);
  return params;
}

class TableRefused : public testing::TestWithParam<TableRefusal> {};

TEST_P(TableRefused, BeforeAnythingIsTouched) {
  TableParams params = valid_table();
  ASSERT_EQ(validate(params), Status::kSuccess);
  GetParam().spoil(params);
  EXPECT_EQ(validate(params), GetParam().status);
  EXPECT_EQ(fill_table_cpu(params, 0, 1), GetParam().status);
}

std::string table_refusal_name(const testing::TestParamInfo<TableRefusal>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Table, TableRefused, testing::ValuesIn(kTableRefusals),
                         table_refusal_name);

TEST(FillTableTest, RefusesRowsThatDoNotExist) {
  EXPECT_EQ(fill_table_cpu(valid_table(), -1, 1), Status::kExtent);
  EXPECT_EQ(fill_table_cpu(valid_table(), 0, 11), Status::kExtent);
  EXPECT_EQ(fill_table_cpu(valid_table(), 3, 3), Status::kSuccess);
}

TEST(StatusTextTest, IsAClauseOfItsOwn) {
  const Status all[] = {Status::kSuccess,     Status::kParamsSize,  Status::kRotaryDim,
                        Status::kExtent,      Status::kAxes,        Status::kNoAngles,
                        Status::kNullPointer, Status::kHostTurns,   Status::kAlignment,
                        Status::kEnumeration, Status::kNoCudaBuild, Status::kCudaError};
  std::set<std::string> texts;
  for (const Status status : all) {
    const std::string text = status_text(status);
    EXPECT_FALSE(text.empty());
    EXPECT_NE(text.back(), '.');
    EXPECT_TRUE(texts.insert(text).second) << text;
  }
}

TEST(StatusTextTest, OfWhatIsNoStatusSaysSo) {
  EXPECT_STREQ(status_text(static_cast<Status>(99)), "an unknown status");
}

}  // namespace
}  // namespace rope
