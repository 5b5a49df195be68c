// The calls whose traffic is modelled: models' shapes in memory that is a number, and what their
// rotated components occupy, counted without the planner. For the traffic tests and their tables.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <rope/params.h>

#include "executor.h"
#include "launches.h"
#include "traffic.h"

namespace rope::test {

// In components. The heads of a token are adjacent; rows, of one token each, begin `row` apart.
struct TrafficTensor {
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t rotary_offset = 0;  // of the first rotated component in its head
  int64_t row = 0;            // 0: as long as its heads
  int64_t first = 0;          // of the first head, from the start of the memory
};

struct TrafficShape {
  const char* name;
  int32_t rotary_dim;
  TrafficTensor q;
  TrafficTensor k;
  Dtype dtype = Dtype::kBFloat16;
  bool is_packed = false;  // k lies in q's memory
};

const std::vector<TrafficShape>& traffic_shapes();
const TrafficShape& traffic_shape(const char* name);

// Decode: as many sequences, a token each, at positions here and there. Prefill: one sequence.
struct Regime {
  const char* name;
  int64_t batches;
  int64_t tokens;
};

constexpr Regime kDecode1 = {"decode 1", 1, 1};
constexpr Regime kDecode32 = {"decode 32", 32, 1};
constexpr Regime kPrefill2048 = {"prefill 2048", 1, 2048};
constexpr Regime kPrefill8192 = {"prefill 8192", 1, 8192};

struct Occupied {
  uint64_t sectors = 0;
  uint64_t lines = 0;
  uint64_t bytes = 0;
};

// What the rotated components occupy; read once and written once, they are twice as much traffic.
const Occupied& rotated_part(const TrafficShape& shape, const Regime& regime);
Occupied whole_heads(const TrafficShape& shape, const Regime& regime);

struct TrafficCall {
  Params params;  // merged, as the launcher does; in place
  Region data;
  Region table;
  Region position;
  std::vector<int64_t> positions;
};

TrafficCall traffic_call(const TrafficShape& shape, Pairing pairing, const Regime& regime,
                         Source source);

// An H100 SXM: the default of DeviceFacts, said here because the tables name it.
inline DeviceFacts h100() {
  DeviceFacts facts;
  facts.num_multiprocessors = 132;
  facts.threads_per_multiprocessor = 2048;
  return facts;
}

struct Traffic {
  std::array<Counts, kStreams> of = {};
  uint64_t outside = 0;  // accesses to memory that is not the call's
  Plan plan;

  uint64_t data_requests() const { return of[kLoads].requests + of[kStores].requests; }
  uint64_t data_sectors() const { return of[kLoads].sectors + of[kStores].sectors; }
  uint64_t data_lines() const { return of[kLoads].lines + of[kStores].lines; }
};

// Another Memory than TrafficMemory changes the accesses on their way: a seeded fault.
template <class Memory = TrafficMemory>
Traffic traffic_of(const TrafficCall& call, Memory memory = {}) {
  WarpTraffic counter(call.data, call.table, call.position);
  memory.traffic = &counter;
  memory.positions = &call.positions;
  const std::vector<Plan> launches = launches_of(call.params, h100());
  execute(call.params, launches, {0, 0}, memory, kInOrder);
  Traffic traffic;
  traffic.of = counter.finish();
  traffic.outside = counter.outside();
  traffic.plan = launches.front();
  return traffic;
}

// That of a call with a table of float32; run once a program.
const Traffic& table_traffic(const TrafficShape& shape, Pairing pairing, const Regime& regime);

}  // namespace rope::test
