// The executor judged by what it catches: one fault at a time is put into a plan, into Params or
// between the kernel and its memory, and has to show as what it is.
#include "executor.h"

#include <rope/kernels.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "call.h"
#include "executor_memory.h"

namespace rope::test {
namespace {

Case base_case() {
  Case spec;
  spec.in_place = false;
  spec.angles = Angles::kShortTable;
  spec.tokens = 3;
  spec.q_heads = 3;
  spec.k_heads = 0;
  return spec;
}

// How a fault shows: as an access that is refused, as bytes nobody wrote, or as other bits.
struct Symptoms {
  bool outside = false;
  bool misaligned = false;
  bool stored_twice = false;
  bool missing = false;
  bool other_bits = false;
};

template <class Memory>
Symptoms symptoms_of(const Case& spec, void (*spoil)(Params&, Plan&)) {
  Call expected = make_call(spec);
  EXPECT_EQ(run_cpu(expected.params), Status::kSuccess);

  Call call = make_call(spec);
  Params params = call.params;
  Plan plan = make_plan(params, {});
  spoil(params, plan);
  Checker checker(call.blocks);
  Memory memory = {&checker};
  execute_as<BFloat16>(params, {plan}, {}, memory);
  Symptoms found;
  found.outside = checker.found(Fault::kOutside);
  found.misaligned = checker.found(Fault::kMisaligned);
  found.stored_twice = checker.found(Fault::kStoredTwice);
  found.missing = count_missing_stores(call) > 0;
  found.other_bits = !first_difference(expected, call).empty();
  return found;
}

struct SeededFault {
  const char* name;
  void (*spoil)(Params& params, Plan& plan);
  bool Symptoms::*shows;
};

void leave_alone(Params&, Plan&) {}

const SeededFault kFaults[] = {
    // guards off by one: the surplus finds work
    {"GuardOfTokens", [](Params&, Plan& plan) { ++plan.tokens.end; }, &Symptoms::outside},
    {"GuardOfBatches", [](Params&, Plan& plan) { ++plan.batches.end; }, &Symptoms::outside},
    {"GuardOfLanes", [](Params&, Plan& plan) { ++plan.lanes; }, &Symptoms::outside},
    {"GuardOfTableRows", [](Params& params, Plan&) { params.table.num_rows += 57; },
     &Symptoms::outside},
    // a head without a tensor is not touched, so that one head too many is one that does exist
    {"GuardOfHeads",
     [](Params& params, Plan& plan) {
       ++plan.chunks.end;
       ++params.q.num_heads;
     },
     &Symptoms::outside},
    // strides: as many heads as tokens, so that no access leaves the tensor
    {"SwappedInStrides",
     [](Params& params, Plan&) { std::swap(params.q.in_stride.token, params.q.in_stride.head); },
     &Symptoms::other_bits},
    {"SwappedOutStrides",
     [](Params& params, Plan&) { std::swap(params.q.out_stride.token, params.q.out_stride.head); },
     &Symptoms::other_bits},
    {"StrideOfTheOtherTensor",
     [](Params& params, Plan&) { params.q.out_stride.batch = params.q.out_stride.token; },
     &Symptoms::stored_twice},
    // tails: what nobody wrote is NaN still
    {"MissingLane", [](Params&, Plan& plan) { --plan.lanes; }, &Symptoms::missing},
    {"MissingToken", [](Params&, Plan& plan) { --plan.tokens.end; }, &Symptoms::missing},
    {"MissingHead", [](Params&, Plan& plan) { --plan.chunks.end; }, &Symptoms::missing},
    {"MissingBatch", [](Params&, Plan& plan) { plan.batches.first = 1; }, &Symptoms::missing},
    {"TooFewBlocks", [](Params&, Plan& plan) { plan.grid[2] = 0; }, &Symptoms::missing},
    {"TokenOffByOne", [](Params&, Plan& plan) { plan.tokens.first = 1; }, &Symptoms::missing},
    // angles
    {"LostSign", [](Params& params, Plan&) { params.inverse = !params.inverse; },
     &Symptoms::other_bits},
    {"SwappedPairing", [](Params& params, Plan&) { params.pairing = Pairing::kInterleaved; },
     &Symptoms::other_bits},
    {"SwappedCosAndSin",
     [](Params& params, Plan&) { std::swap(params.table.cos, params.table.sin); },
     &Symptoms::other_bits},
    {"IgnoredTable", [](Params&, Plan& plan) { plan.source = Source::kComputed; },
     &Symptoms::other_bits},
};

class SeededFaults : public testing::TestWithParam<SeededFault> {};

TEST_P(SeededFaults, Show) {
  const Symptoms found = symptoms_of<CheckedMemory>(base_case(), GetParam().spoil);
  EXPECT_TRUE(found.*(GetParam().shows));
}

std::string fault_name(const testing::TestParamInfo<SeededFault>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Each, SeededFaults, testing::ValuesIn(kFaults), fault_name);

TEST(NoFaultTest, ShowsNothing) {
  const Symptoms found = symptoms_of<CheckedMemory>(base_case(), leave_alone);
  EXPECT_FALSE(found.outside || found.misaligned || found.stored_twice || found.missing ||
               found.other_bits);
}

TEST(PlannerFaultTest, OfAnAddressIgnoredIsAMisalignedAccess) {
  Case spec = base_case();
  spec.first = 1;
  const auto widen = [](Params& params, Plan& plan) {
    plan.vector_bytes = 16;
    plan.lanes = params.rotary_dim / 2 / 8;
  };
  EXPECT_TRUE(symptoms_of<CheckedMemory>(spec, widen).misaligned);
}

TEST(PlannerFaultTest, OfAHeadTakenTwiceIsASecondStore) {
  Case spec = base_case();
  spec.q_heads = 4;
  const auto overlap = [](Params&, Plan& plan) {
    plan.heads_per_thread = 2;
    plan.head_chunks = 1;  // two threads of two heads each, one head apart
    plan.chunks = {0, 3};
    plan.block[1] = 3;
  };
  EXPECT_TRUE(symptoms_of<CheckedMemory>(spec, overlap).stored_twice);
}

// In place the second thread rotates what the first one has rotated.
TEST(PlannerFaultTest, OfAHeadTakenTwiceInPlaceIsOtherBitsToo) {
  Case spec = base_case();
  spec.in_place = true;
  spec.q_heads = 4;
  const auto overlap = [](Params&, Plan& plan) {
    plan.heads_per_thread = 2;
    plan.head_chunks = 1;
    plan.chunks = {0, 3};
    plan.block[1] = 3;
  };
  EXPECT_TRUE(symptoms_of<CheckedMemory>(spec, overlap).other_bits);
}

// ---- faults of the memory: a kernel that skips, shifts or mixes up its vectors

struct LosesASecondVector : CheckedMemory {
  template <int kBytes>
  void store(void* address, const Vector<kBytes>& vector) const {
    if (reinterpret_cast<uintptr_t>(address) % 64 < 32)
      CheckedMemory::store<kBytes>(address, vector);
  }
};

struct StoresOneVectorOff : CheckedMemory {
  template <int kBytes>
  void store(void* address, const Vector<kBytes>& vector) const {
    CheckedMemory::store<kBytes>(static_cast<char*>(address) + kBytes, vector);
  }
};

struct LoadsItsNeighboursVector : CheckedMemory {
  template <int kBytes>
  Vector<kBytes> load(const void* address) const {
    const bool odd = checker->thread.thread.x % 2 == 1;
    return CheckedMemory::load<kBytes>(static_cast<const char*>(address) - (odd ? kBytes : 0));
  }
};

TEST(MemoryFaultTest, OfALostStoreIsAGap) {
  EXPECT_TRUE(symptoms_of<LosesASecondVector>(base_case(), leave_alone).missing);
}

TEST(MemoryFaultTest, OfAShiftedStoreIsOutside) {
  EXPECT_TRUE(symptoms_of<StoresOneVectorOff>(base_case(), leave_alone).outside);
}

TEST(MemoryFaultTest, OfAShiftedLoadIsOtherBits) {
  const Symptoms found = symptoms_of<LoadsItsNeighboursVector>(base_case(), leave_alone);
  EXPECT_TRUE(found.other_bits);
}

// ---- the blocks end where a call's memory ends, for AddressSanitizer to see

#if defined(__SANITIZE_ADDRESS__)
TEST(BlockDeathTest, OfOneTokenTooManyIsAReport) {
  Call call = make_call(base_case());
  ++call.params.num_tokens;
  EXPECT_DEATH(run_cpu(call.params), "heap-buffer-overflow");
}

TEST(BlockDeathTest, OfOneTableRowTooManyIsAReport) {
  Call call = make_call(base_case());
  call.params.table.num_rows += 57;
  EXPECT_DEATH(run_cpu(call.params), "heap-buffer-overflow");
}
#endif

}  // namespace
}  // namespace rope::test
