// The traffic model judged by what it catches: kernels that move the right bytes in a wrong way,
// put between the threads and the counter, have to show in the number that they spoil.
#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "traffic.h"
#include "traffic_calls.h"

namespace rope::test {
namespace {

// Passes an access on as other ones.
using Fault = void (*)(WarpTraffic& traffic, Stream stream, uint64_t address, uint64_t bytes);

struct FaultyMemory : TrafficMemory {
  Fault fault;

  template <int kBytes>
  Vector<kBytes> load(const void* address) const {
    fault(*traffic, kLoads, reinterpret_cast<uintptr_t>(address), kBytes);
    return {};
  }

  template <int kBytes>
  void store(void* address, const Vector<kBytes>&) const {
    fault(*traffic, kStores, reinterpret_cast<uintptr_t>(address), kBytes);
  }
};

// Against a call that is as good as can be, of 8 + 1 half-split heads of 256 bytes.
constexpr uint64_t kHeadBytes = 256;

Traffic traffic_with(Fault fault) {
  const TrafficShape& shape = traffic_shape("Llama-3-70B on 8 GPUs");
  FaultyMemory memory;
  memory.fault = fault;
  return traffic_of(traffic_call(shape, Pairing::kSplit, kDecode32, Source::kTable), memory);
}

struct SeededFault {
  const char* name;
  Fault fault;
  // times what they are without a fault
  double requests, sectors, lines;
  double bytes = 1;
  double distinct = 1;
};

void leave_alone(WarpTraffic& traffic, Stream stream, uint64_t address, uint64_t bytes) {
  traffic.access(stream, address, bytes);
}

void halve_vectors(WarpTraffic& traffic, Stream stream, uint64_t address, uint64_t bytes) {
  traffic.access(stream, address, bytes / 2);
  traffic.access(stream, address + bytes / 2, bytes / 2);
}

// A lane's vectors adjacent, not half a head apart: vectors 0 … 15 become 0, 2, … 14, 1, 3, … 15.
void interleave_lanes(WarpTraffic& traffic, Stream stream, uint64_t address, uint64_t bytes) {
  const uint64_t vector = address % kHeadBytes / bytes;
  const uint64_t moved = vector % 8 * 2 + vector / 8;
  traffic.access(stream, address - address % kHeadBytes + moved * bytes, bytes);
}

void take_twice(WarpTraffic& traffic, Stream stream, uint64_t address, uint64_t bytes) {
  traffic.access(stream, address, bytes);
  traffic.access(stream, address, bytes);
}

// The last one of a head and of its thread: what a lane too few would do.
void lose_a_vector(WarpTraffic& traffic, Stream stream, uint64_t address, uint64_t bytes) {
  if (address % kHeadBytes + bytes < kHeadBytes) traffic.access(stream, address, bytes);
}

// Only the first half of each head, twice.
void forget_the_second_half(WarpTraffic& traffic, Stream stream, uint64_t address, uint64_t bytes) {
  traffic.access(stream, address - address % kHeadBytes + address % (kHeadBytes / 2), bytes);
}

const SeededFault kFaults[] = {
    {"None", leave_alone, 1, 1, 1},
    {"HalvedVectors", halve_vectors, 2, 2, 2},
    {"InterleavedLanes", interleave_lanes, 1, 2, 2},
    {"TakenTwice", take_twice, 2, 2, 2, 2},
    // One of sixteen; the sector's other half is still there.
    {"LostVector", lose_a_vector, 1, 1, 1, 15.0 / 16},
    {"ForgottenHalf", forget_the_second_half, 1, 1, 1, 1, 0.5},
};

class SeededFaults : public testing::TestWithParam<SeededFault> {};

TEST_P(SeededFaults, Show) {
  const SeededFault& seeded = GetParam();
  const Traffic& good =
      table_traffic(traffic_shape("Llama-3-70B on 8 GPUs"), Pairing::kSplit, kDecode32);
  const Traffic found = traffic_with(seeded.fault);
  for (const Stream stream : {kLoads, kStores}) {
    const auto times = [&](uint64_t Counts::*field) {
      return static_cast<double>(found.of[stream].*field) /
             static_cast<double>(good.of[stream].*field);
    };
    EXPECT_EQ(times(&Counts::requests), seeded.requests);
    EXPECT_EQ(times(&Counts::sectors), seeded.sectors);
    EXPECT_EQ(times(&Counts::lines), seeded.lines);
    EXPECT_EQ(times(&Counts::bytes), seeded.bytes);
    EXPECT_EQ(times(&Counts::distinct), seeded.distinct);
  }
}

INSTANTIATE_TEST_SUITE_P(Each, SeededFaults, testing::ValuesIn(kFaults),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(OutsideTest, IsCountedAndNotFollowed) {
  const Traffic found =
      traffic_with([](WarpTraffic& traffic, Stream stream, uint64_t address, uint64_t bytes) {
        traffic.access(stream, address - (uint64_t{1} << 20), bytes);
      });
  // Two accesses of each of 8 lanes, 9 heads and 32 tokens, loaded and stored.
  EXPECT_EQ(found.outside, 2u * 2 * 8 * 9 * 32);
  EXPECT_EQ(found.data_requests(), 0u);
}

}  // namespace
}  // namespace rope::test
