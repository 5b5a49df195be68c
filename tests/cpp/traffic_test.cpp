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
  const auto row_bytes = static_cast<uint64_t>(shape().rotary_dim) * 4;
  EXPECT_EQ(traffic().of[kTableReads].distinct, tokens() * row_bytes / 32);
  EXPECT_EQ(traffic().of[kPositionReads].distinct, (tokens() * 8 + 31) / 32);
}

// Sectors and lines of all requests, of one token, loaded or stored.
struct Stated {
  const char* shape;
  uint64_t sectors, lines;
};

// A lane's two vectors are half of the rotated part apart, in both pairings: with halves of a whole
// number of sectors at addresses of whole sectors, each request is of whole sectors, and none is
// asked for twice.
const Stated kStated[] = {
    // 256 bytes a head: 8 sectors, 2 lines
    {"Llama-3-8B", 40 * 8, 40 * 2},
    {"Llama-3-70B", 72 * 8, 72 * 2},
    {"Llama-3-70B on 8 GPUs", 9 * 8, 9 * 2},
    {"Qwen3-30B-A3B", 36 * 8, 36 * 2},
    {"MHA 32/32", 64 * 8, 64 * 2},
    {"Llama-3-8B, packed QKV", 40 * 8, 40 * 2},
    {"Llama-3-8B, float32", 40 * 16, 40 * 4},
    // A head is one line, of which each request takes half: lines twice.
    {"Llama-3.2-1B, 64 a head", 40 * 4, 2 * 40},
    {"Gemma-2-9B, 256 a head", 24 * 16, 24 * 4},
    // 128 bytes, one line, at multiples of 384 bytes and 256 more; k's at multiples of 1152.
    {"DeepSeek MLA", 129 * 4, 2 * 129},
    // Two halves of one sector each, at multiples of 160 bytes.
    {"Phi-2", 64 * 2, 64 * 2},
    // Halves of 128 bytes, 16 bytes into a sector and a line: 5 sectors, 2 lines each.
    {"8 + 1 heads, 16 bytes off", 9 * 2 * 5, 9 * 2 * 2},
};

// Halves of 24 bytes at multiples of 192, three lanes of 8 bytes each: bytes 0 … 23 are one sector,
// 24 … 47 two, 3 a head; a head whose lanes are in two warps is asked for twice. After two lanes
// the sectors 0 and 1 are torn, after one only sector 0. Blocks of 256 threads have 85 heads, the
// last one of a token 43; warps end in heads 10, 21, 42, 53 and 74 of the first and in 10, 21 and
// 42 of the second block: after two lanes in 10, 42, 74, 10 and 42. Decode has blocks of 128
// threads and 42 heads, three of them and one of 2; warps end in head 10 after two lanes, in 21
// after one.
Stated stated_of_neox(const Regime& regime) {
  const bool is_decode = regime.batches * regime.tokens <= 64;
  const uint64_t two = is_decode ? 3 : 5;
  const uint64_t one = 3;
  return {"GPT-NeoX-20B", 128 * 3 + two * 2 + one, 2 * 128 + 2 * (two + one)};
}

// Vectors of one component. Half-split: two warps a half, of 64 bytes, which are in 3 sectors, and
// in 1 line or, the second one, in 2. Interleaved, partners are neighbours: two warps a head, of 2
// bytes in each 4 of 128, first 2 … 127, then 4 … 129.
Stated stated_of_single_components(Pairing pairing) {
  const uint64_t sectors = pairing == Pairing::kSplit ? 4 * 3 : 2 * (4 + 5);
  return {"8 + 1 heads, 2 bytes off", 9 * sectors, 9 * 2 * (1 + 2)};
}

Stated stated_of(const TrafficShape& shape, Pairing pairing, const Regime& regime) {
  for (const Stated& stated : {stated_of_neox(regime), stated_of_single_components(pairing)}) {
    if (std::string(stated.shape) == shape.name) return stated;
  }
  for (const Stated& stated : kStated) {
    if (std::string(stated.shape) == shape.name) return stated;
  }
  throw std::invalid_argument(shape.name);
}

TEST_P(TrafficOf, DataIsWhatIsDerived) {
  const Stated stated = stated_of(shape(), pairing(), regime());
  for (const Stream stream : {kLoads, kStores}) {
    EXPECT_EQ(traffic().of[stream].sectors, tokens() * stated.sectors);
    EXPECT_EQ(traffic().of[stream].lines, tokens() * stated.lines);
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

// ---- at whole sectors: the minimum itself, read once and written once

class AlignedTraffic : public testing::TestWithParam<const char*> {};

TEST_P(AlignedTraffic, IsTheMinimum) {
  const TrafficShape& shape = traffic_shape(GetParam());
  for (const Regime& regime : regimes()) {
    for (const Pairing pairing : {Pairing::kSplit, Pairing::kInterleaved}) {
      const Traffic& traffic = table_traffic(shape, pairing, regime);
      EXPECT_EQ(traffic.data_sectors(), 2 * rotated_part(shape, regime).sectors) << regime.name;
    }
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
