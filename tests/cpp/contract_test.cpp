// What <rope/kernels.h> promises of all its functions: nothing is thrown, nothing is allocated.
#include <gtest/gtest.h>
#include <rope/kernels.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <tuple>
#include <vector>

namespace {

std::atomic<int64_t> allocations{0};

}  // namespace

// Each form of new comes to this one, but those for wider alignment. Where g++ sees into one of a
// pair alone, it takes malloc and free for a mismatch.
__attribute__((noinline)) void* operator new(std::size_t size) {
  allocations.fetch_add(1);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* memory) noexcept {
  std::free(memory);
}
__attribute__((noinline)) void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

// As the linker is told (--wrap): calls of malloc in the kernels, which are linked statically.
extern "C" void* __real_malloc(std::size_t size);
extern "C" void* __wrap_malloc(std::size_t size) {
  allocations.fetch_add(1);
  return __real_malloc(size);
}

namespace rope {
namespace {

static_assert(noexcept(run_cpu(Params{})));
static_assert(noexcept(run_cpu(Params{}, 0, 0)));
static_assert(noexcept(launch_cuda(Params{}, nullptr)));
static_assert(noexcept(fill_table_cpu(TableParams{}, 0, 0)));
static_assert(noexcept(launch_table_cuda(TableParams{}, nullptr)));
static_assert(noexcept(turns_from_frequency(0.0)));
static_assert(noexcept(launch_turns_cuda(static_cast<const float*>(nullptr), 0, nullptr, nullptr)));
static_assert(noexcept(launch_turns_cuda(static_cast<const double*>(nullptr), 0, nullptr,
                                         nullptr)));
static_assert(noexcept(status_text(Status::kSuccess)));
static_assert(noexcept(cuda_error_name(Status::kSuccess)));

constexpr int64_t kTokens = 7;
constexpr int64_t kHeads = 3;
constexpr int64_t kDim = 128;

struct Call {
  explicit Call(Dtype dtype, Pairing pairing) {
    for (int64_t i = 0; i < kDim / 2; ++i) turns.push_back(turns_from_frequency(1.0 / (1.0 + i)));
    params.dtype = dtype;
    params.pairing = pairing;
    params.rotary_dim = kDim;
    params.num_batches = 1;
    params.num_tokens = kTokens;
    params.q.in = params.q.out = data.data();
    params.q.num_heads = kHeads;
    params.q.in_stride = params.q.out_stride = {0, kHeads * kDim, kDim};
    params.frequencies.turns = turns.data();
  }
  std::vector<float> data = std::vector<float>(kTokens * kHeads * kDim, 1.0f);
  std::vector<uint64_t> turns;
  Params params;
};

template <class Work>
int64_t allocations_of(const Work& work) {
  const int64_t before = allocations.load();
  work();
  return allocations.load() - before;
}

TEST(Contract, CountsAllocations) {
  std::vector<int> kept;
  EXPECT_GT(allocations_of([&] { kept.resize(100); }), 0);
  void* volatile memory = nullptr;
  EXPECT_GT(allocations_of([&] { memory = std::malloc(100); }), 0);
  std::free(memory);
}

class OfEachKind : public testing::TestWithParam<std::tuple<Dtype, Pairing>> {};

// The first call of a process too: it chooses an instruction set.
TEST_P(OfEachKind, RotationsAllocateNothing) {
  Call call(std::get<0>(GetParam()), std::get<1>(GetParam()));
  auto status = Status::kNoAngles;
  EXPECT_EQ(allocations_of([&] { status = run_cpu(call.params); }), 0);
  EXPECT_EQ(status, Status::kSuccess);
}

INSTANTIATE_TEST_SUITE_P(Contract, OfEachKind,
                         testing::Combine(testing::Values(Dtype::kFloat32, Dtype::kFloat16,
                                                          Dtype::kBFloat16),
                                          testing::Values(Pairing::kSplit, Pairing::kInterleaved)));

TEST(Contract, TheRestAllocatesNothing) {
  Call call(Dtype::kFloat32, Pairing::kSplit);
  std::vector<float> rows(kTokens * kDim);
  TableParams table;
  table.turns = call.turns.data();
  table.num_pairs = kDim / 2;
  table.num_rows = kTokens;
  table.out = rows.data();
  EXPECT_EQ(allocations_of([&] { fill_table_cpu(table, 0, kTokens); }), 0);
  EXPECT_EQ(allocations_of([&] { turns_from_frequency(0x1p300); }), 0);
  EXPECT_EQ(allocations_of([&] { status_text(Status::kExtent); }), 0);
  call.params.rotary_dim = 3;
  EXPECT_EQ(allocations_of([&] { run_cpu(call.params); }), 0);
}

}  // namespace
}  // namespace rope
