// What the planned grids ask of memory (traffic.h), against what the rotated components occupy and
// against numbers derived by hand; the tables of docs/performance.md; and faults that must show.
#include "traffic.h"

#include <cctype>
#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "traffic_calls.h"
#include "traffic_tables.h"

namespace rope::test {
namespace {

// ---- the counter by itself: block (x, y) of threads that read 16 bytes each, `stride` apart

constexpr uint64_t kStart = 1 << 20;

Counts counts_of(const Extent3& block, uint64_t stride, uint32_t first_idle = UINT32_MAX) {
  const Region region = {kStart, kStart + (1 << 16)};
  WarpTraffic traffic(region, region, region);
  uint32_t number = 0;
  for (uint32_t y = 0; y < block.y; ++y) {
    for (uint32_t x = 0; x < block.x; ++x, ++number) {
      traffic.begin({{x, y, 0}, {0, 0, 0}, block});
      if (number < first_idle) traffic.access(kLoads, kStart + number * stride, 16);
    }
  }
  return traffic.finish()[kLoads];
}

void expect_counts(const Counts& counts, uint64_t requests, uint64_t sectors, uint64_t lines) {
  EXPECT_EQ(counts.requests, requests);
  EXPECT_EQ(counts.sectors, sectors);
  EXPECT_EQ(counts.lines, lines);
}

TEST(WarpTrafficTest, OfAdjacentVectorsIsTheirBytes) {
  expect_counts(counts_of({8, 4, 1}, 16), 1, 16, 4);
}

TEST(WarpTrafficTest, OfEverySecondVectorIsTwice) {
  expect_counts(counts_of({32, 1, 1}, 32), 1, 32, 8);
}

TEST(WarpTrafficTest, OfOneVectorForAllIsOneSector) {
  expect_counts(counts_of({32, 1, 1}, 0), 1, 1, 1);
}

// 32 threads and 8: the second warp is the end of the block's second and third row.
TEST(WarpTrafficTest, EndsAfter32ThreadsOfABlock) {
  expect_counts(counts_of({20, 2, 1}, 16), 2, 20, 5);
}

TEST(WarpTrafficTest, LeavesOutIdleThreads) {
  expect_counts(counts_of({32, 2, 1}, 16, 3), 1, 2, 1);
}

TEST(WarpTrafficTest, CountsTouchedSectorsOnce) {
  EXPECT_EQ(counts_of({32, 2, 1}, 0).sectors, 2u);
  EXPECT_EQ(counts_of({32, 2, 1}, 0).distinct, 1u);
}

// ---- every shape, pairing and regime

// Nothing here is dereferenced, so that the sanitizers see in two regimes what they see in three.
std::vector<Regime> regimes() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return {kDecode1, kDecode32};
#else
  return {kDecode1, kDecode32, kPrefill2048};
#endif
}

class TrafficOf : public testing::TestWithParam<std::tuple<TrafficShape, Pairing, Regime>> {
 protected:
  const TrafficShape& shape() const { return std::get<0>(GetParam()); }
  Pairing pairing() const { return std::get<1>(GetParam()); }
  const Regime& regime() const { return std::get<2>(GetParam()); }
  uint64_t tokens() const { return static_cast<uint64_t>(regime().batches * regime().tokens); }

  const Traffic& traffic() const { return table_traffic(shape(), pairing(), regime()); }
  const Occupied& rotated() const { return rotated_part(shape(), regime()); }
};

// The bytes that no cache can spare: partial rotary and narrow vectors add none.
TEST_P(TrafficOf, DataTouchesTheSectorsOfRotatedComponents) {
  EXPECT_EQ(traffic().outside, 0u);
  for (const Stream stream : {kLoads, kStores}) {
    EXPECT_EQ(traffic().of[stream].bytes, rotated().bytes);
    EXPECT_EQ(traffic().of[stream].distinct, rotated().sectors);
  }
}

TEST_P(TrafficOf, AnglesAreReadOfOneRowAToken) {
  const Traffic& split = table_traffic(shape(), Pairing::kSplit, regime());
  const auto row_bytes = static_cast<uint64_t>(shape().rotary_dim) * 4;
  EXPECT_EQ(traffic().of[kTableReads].distinct, tokens() * row_bytes / 32);
  EXPECT_EQ(traffic().of[kPositionReads].distinct, (tokens() * 8 + 31) / 32);
  EXPECT_EQ(traffic().of[kTableReads].sectors, split.of[kTableReads].sectors);
}

// Sectors and lines of all requests, of one token, loaded or stored.
struct Stated {
  const char* shape;
  uint64_t split_sectors, split_lines;
  uint64_t interleaved_sectors, interleaved_lines;
};

constexpr uint64_t kVaries = 0;

// Half-split, a lane's two vectors are half of the rotated part apart: with halves of a whole
// number of sectors at addresses of whole sectors, each request is of whole sectors, and none is
// asked for twice. Interleaved, they are adjacent, so that in each of its two requests a lane takes
// half of the sector that it takes the rest of in the other one: twice all sectors, and lines.
const Stated kStated[] = {
    // 256 bytes a head: 8 sectors, 2 lines
    {"Llama-3-8B", 40 * 8, 40 * 2, 2 * 40 * 8, 2 * 40 * 2},
    {"Llama-3-70B", 72 * 8, 72 * 2, 2 * 72 * 8, 2 * 72 * 2},
    {"Llama-3-70B on 8 GPUs", 9 * 8, 9 * 2, 2 * 9 * 8, 2 * 9 * 2},
    {"Qwen3-30B-A3B", 36 * 8, 36 * 2, 2 * 36 * 8, 2 * 36 * 2},
    {"MHA 32/32", 64 * 8, 64 * 2, 2 * 64 * 8, 2 * 64 * 2},
    {"Llama-3-8B, packed QKV", 40 * 8, 40 * 2, 2 * 40 * 8, 2 * 40 * 2},
    {"Llama-3-8B, float32", 40 * 16, 40 * 4, 2 * 40 * 16, 2 * 40 * 4},
    // A head is one line, of which each request takes half: lines twice.
    {"Llama-3.2-1B, 64 a head", 40 * 4, 2 * 40, 2 * 40 * 4, 2 * 40},
    {"Gemma-2-9B, 256 a head", 24 * 16, 24 * 4, 2 * 24 * 16, 2 * 24 * 4},
    // 128 bytes, one line, at multiples of 384 bytes and 256 more; k's at multiples of 1152.
    {"DeepSeek MLA", 129 * 4, 2 * 129, 2 * 129 * 4, 2 * 129},
    // Two halves of one sector each, at multiples of 160 bytes. Interleaved, a request covers 64
    // bytes: two lines in every fourth head, which begins 96 bytes into a line.
    {"Phi-2", 64 * 2, 64 * 2, 2 * 64 * 2, 2 * (64 + 16)},
    // Halves of 24 bytes at multiples of 192, three lanes of 8 bytes each. Half-split: bytes 0 … 23
    // are one sector, 24 … 47 two, 3 a head. Interleaved: lanes 0 and 1 in one sector, lane 2 in
    // the next, in both requests, 4 a head.
    // A head across two warps is asked for twice. A block has 85 heads, the last one of a token 43;
    // warps end in heads 10, 21, 42, 53, 74 of the first and 10, 21, 42 of the second block: after
    // two lanes in five of them (10, 42, 74, 10, 42), after one in three. After two lanes the
    // sectors 0 and 1 of the half-split requests are torn, after one sector 0 of the first request;
    // interleaved, after one lane sector 0 of both.
    {"GPT-NeoX-20B", 128 * 3 + 5 * 2 + 3, 2 * (128 + 8), 128 * 4 + 3 * 2, 2 * (128 + 8)},
    // Halves of 128 bytes, 16 bytes into a sector and a line: 5 sectors, 2 lines each. Interleaved:
    // 8 of the head's 9 sectors in each request; its third line may be the next head's first.
    {"8 + 1 heads, 16 bytes off", 9 * 2 * 5, 9 * 2 * 2, 9 * 2 * 8, kVaries},
    // Two warps a half, of 64 bytes, which are in 3 sectors, and in 1 line or, the second one,
    // in 2.
    // Interleaved: two warps a head, of 2 bytes in each 4 of 128, first 2 … 127, then 4 … 129.
    {"8 + 1 heads, 2 bytes off", 9 * 4 * 3, 9 * 2 * (1 + 2), 9 * 2 * (4 + 5), 9 * 2 * (1 + 2)},
};

const Stated& stated_of(const TrafficShape& shape) {
  for (const Stated& stated : kStated) {
    if (std::string(stated.shape) == shape.name) return stated;
  }
  throw std::invalid_argument(shape.name);
}

TEST_P(TrafficOf, DataIsWhatIsDerived) {
  const Stated& stated = stated_of(shape());
  const bool is_split = pairing() == Pairing::kSplit;
  const uint64_t lines = is_split ? stated.split_lines : stated.interleaved_lines;
  for (const Stream stream : {kLoads, kStores}) {
    EXPECT_EQ(traffic().of[stream].sectors,
              tokens() * (is_split ? stated.split_sectors : stated.interleaved_sectors));
    if (lines != kVaries) {
      EXPECT_EQ(traffic().of[stream].lines, tokens() * lines);
    }
  }
}

std::string letters_of(std::string name) {
  for (char& letter : name) letter = std::isalnum(letter) ? letter : '_';
  return name;
}

std::string traffic_name(const testing::TestParamInfo<TrafficOf::ParamType>& info) {
  const auto& [shape, pairing, regime] = info.param;
  return letters_of(std::string(shape.name) +
                    (pairing == Pairing::kSplit ? " Split " : " Interleaved ") + regime.name);
}

INSTANTIATE_TEST_SUITE_P(Of, TrafficOf,
                         testing::Combine(testing::ValuesIn(traffic_shapes()),
                                          testing::Values(Pairing::kSplit, Pairing::kInterleaved),
                                          testing::ValuesIn(regimes())),
                         traffic_name);

// ---- half-split at whole sectors: the minimum itself, read once and written once

class AlignedTraffic : public testing::TestWithParam<const char*> {};

TEST_P(AlignedTraffic, IsTheMinimum) {
  const TrafficShape& shape = traffic_shape(GetParam());
  for (const Regime& regime : regimes()) {
    const Traffic& traffic = table_traffic(shape, Pairing::kSplit, regime);
    EXPECT_EQ(traffic.data_sectors(), 2 * rotated_part(shape, regime).sectors) << regime.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Of, AlignedTraffic,
                         testing::Values("Llama-3-8B", "Llama-3-70B", "Llama-3-70B on 8 GPUs",
                                         "Qwen3-30B-A3B", "MHA 32/32", "Llama-3-8B, packed QKV",
                                         "Llama-3-8B, float32", "Llama-3.2-1B, 64 a head",
                                         "Gemma-2-9B, 256 a head", "DeepSeek MLA", "Phi-2"),
                         [](const auto& info) { return letters_of(info.param); });

// 16 bytes of 32 threads, where the lanes of a token's heads fill all of its warps.
class FullRequests : public testing::TestWithParam<const char*> {};

TEST_P(FullRequests, Move512Bytes) {
  const TrafficShape& shape = traffic_shape(GetParam());
  for (const Regime& regime : {kDecode1, kDecode32}) {
    const Traffic& traffic = table_traffic(shape, Pairing::kSplit, regime);
    EXPECT_EQ(traffic.data_requests() * 512, 2 * rotated_part(shape, regime).bytes) << regime.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Of, FullRequests,
                         testing::Values("Llama-3-8B", "Llama-3-70B", "MHA 32/32",
                                         "Llama-3-8B, packed QKV", "Llama-3-8B, float32",
                                         "Llama-3.2-1B, 64 a head", "Gemma-2-9B, 256 a head",
                                         "Phi-2"),
                         [](const auto& info) { return letters_of(info.param); });

// ---- angles

// Warps of one token whose threads take `heads` heads of `lanes` lanes: 32 threads each, or the
// rest.
uint64_t warps_of(const Traffic& traffic, uint64_t heads, uint64_t lanes) {
  const auto heads_per_thread = static_cast<uint64_t>(traffic.plan.heads_per_thread);
  return (heads / heads_per_thread * lanes + 31) / 32;
}

class AngleTraffic : public testing::TestWithParam<Regime> {};

// Eight bfloat16 pairs are 32 bytes of cosines and 32 of sines, in two reads of 16 each: every
// request of a warp takes half of all 8 sectors of a row's cosines, or sines.
TEST_P(AngleTraffic, OfBFloat16AsksForARowTwiceAWarp) {
  const TrafficShape& shape = traffic_shape("Llama-3-8B");
  const Traffic& traffic = table_traffic(shape, Pairing::kSplit, GetParam());
  const auto tokens = static_cast<uint64_t>(GetParam().batches * GetParam().tokens);
  const uint64_t warps = tokens * warps_of(traffic, 40, 8);
  EXPECT_EQ(traffic.of[kTableReads].requests, warps * 4);
  EXPECT_EQ(traffic.of[kTableReads].sectors, warps * 4 * 8);
  EXPECT_EQ(traffic.of[kPositionReads].sectors, warps);
}

// Four float32 pairs are one read of each.
TEST_P(AngleTraffic, OfFloat32AsksForARowOnceAWarp) {
  const TrafficShape& shape = traffic_shape("Llama-3-8B, float32");
  const Traffic& traffic = table_traffic(shape, Pairing::kSplit, GetParam());
  const auto tokens = static_cast<uint64_t>(GetParam().batches * GetParam().tokens);
  const uint64_t warps = tokens * warps_of(traffic, 40, 16);
  EXPECT_EQ(traffic.of[kTableReads].requests, warps * 2);
  EXPECT_EQ(traffic.of[kTableReads].sectors, warps * 2 * 8);
}

INSTANTIATE_TEST_SUITE_P(Of, AngleTraffic, testing::ValuesIn(regimes()),
                         [](const auto& info) { return letters_of(info.param.name); });

class ComputedTraffic : public testing::TestWithParam<TrafficShape> {};

TEST_P(ComputedTraffic, IsThatOfATableWithoutTheTable) {
  const Traffic& table = table_traffic(GetParam(), Pairing::kSplit, kDecode32);
  const Traffic computed =
      traffic_of(traffic_call(GetParam(), Pairing::kSplit, kDecode32, Source::kComputed));
  EXPECT_EQ(computed.of[kTableReads].requests, 0u);
  for (const Stream stream : {kLoads, kStores, kPositionReads}) {
    EXPECT_EQ(computed.of[stream].requests, table.of[stream].requests);
    EXPECT_EQ(computed.of[stream].sectors, table.of[stream].sectors);
    EXPECT_EQ(computed.of[stream].lines, table.of[stream].lines);
  }
}

INSTANTIATE_TEST_SUITE_P(Of, ComputedTraffic, testing::ValuesIn(traffic_shapes()),
                         [](const auto& info) { return letters_of(info.param.name); });

// ---- the page

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(TrafficPageTest, HoldsTheseTables) {
  std::cout << traffic_data_table() << "\n" << traffic_angle_table();
  const std::string page = read_page(ROPE_PERFORMANCE_PAGE);
  EXPECT_EQ(page, with_traffic_tables(page)) << "run traffic_report docs/performance.md";
}
#endif

}  // namespace
}  // namespace rope::test
