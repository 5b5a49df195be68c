// The planner: vector width by alignment, kernel and heads per thread by regime, grid by extents.
#include "plan.h"

#include <algorithm>
#include <cstddef>
#include <initializer_list>

namespace rope {
namespace {

// Decode: so few tokens that every thread should start at once, whatever it then recomputes. Small
// blocks, a warp for each of a multiprocessor's four schedulers.
constexpr int64_t kDecodeTokens = 64;
constexpr int32_t kDecodeThreadsPerBlock = 128;
// A dependent launch saves its half a microsecond only where that shows.
constexpr int64_t kMostWavesOfDependentLaunch = 4;
constexpr int64_t kMaxGridX = 0x7fffffff;
constexpr int64_t kMaxGridYZ = 65535;
constexpr int64_t kMaxBlockZ = 64;
constexpr int64_t kMaxInt32 = 0x7fffffff;

int64_t ceil_div(int64_t a, int64_t b) {
  return a / b + (a % b != 0);
}

// Bits that an address and its strides have set in bytes; the lowest one limits the width.
uint64_t address_bits(const void* address, const Strides& stride, const Params& params,
                      const Heads& heads) {
  const uint64_t size = static_cast<uint64_t>(size_of(params.dtype));
  uint64_t bits = reinterpret_cast<uintptr_t>(address);
  if (params.num_batches > 1) bits |= static_cast<uint64_t>(stride.batch) * size;
  if (params.num_tokens > 1) bits |= static_cast<uint64_t>(stride.token) * size;
  if (heads.num_heads > 1) bits |= static_cast<uint64_t>(stride.head) * size;
  return bits;
}

bool fits_32_bits(const Heads& heads, int32_t size) {
  if (heads.num_heads > kMaxInt32) return false;
  const int64_t most = kMaxInt32 / size / std::max<int64_t>(1, heads.num_heads);
  for (const int64_t stride : {heads.in_stride.head, heads.out_stride.head}) {
    if (stride > most || stride < -most) return false;
  }
  return true;
}

bool is_aligned(const void* address, size_t bytes) {
  return reinterpret_cast<uintptr_t>(address) % bytes == 0;
}

bool has_common_table(const Params& params) {
  const Table& table = params.table;
  constexpr int64_t kFloats = 4;
  const bool batches = table.per_token && params.num_batches > 1;
  return table.dtype == Dtype::kFloat32 && table.stride_pair == 1 && is_aligned(table.cos, 16) &&
         is_aligned(table.sin, 16) && table.stride.token % kFloats == 0 &&
         (!batches || table.stride.batch % kFloats == 0);
}

// A table needs none.
bool has_common_frequencies(const Params& params) {
  const Frequencies& frequencies = params.frequencies;
  if (frequencies.turns == nullptr) return params.table.cos != nullptr;
  if (frequencies.may_be_invalid) return false;
  return frequencies.on_host ? params.rotary_dim / 2 <= kMaxCommonHostTurns
                             : is_aligned(frequencies.turns, 16);
}

int64_t heads_of(const Params& params) {
  return params.q.num_heads + params.k.num_heads;
}

double threads_of(const Params& params, const Plan& plan) {
  return static_cast<double>(params.num_batches) * static_cast<double>(params.num_tokens) *
         static_cast<double>(plan.lanes) *
         static_cast<double>(ceil_div(heads_of(params), plan.heads_per_thread));
}

bool is_decode(const Params& params) {
  return params.num_batches * params.num_tokens <= kDecodeTokens;
}

// Where neither four nor five divide the heads, some slots of threads may stay idle, which costs
// nothing but registers: up to an eighth of the heads.
bool shares_well(int64_t heads, int32_t heads_per_thread) {
  const int64_t beyond = heads % heads_per_thread;
  if (beyond == 0) return true;
  return heads % 4 != 0 && heads % 5 != 0 && heads_per_thread - beyond <= heads / 8;
}

void take(const Params& params, int32_t vector_bytes, int32_t heads_per_thread, Plan& plan) {
  plan.vector_bytes = vector_bytes;
  plan.lanes = params.rotary_dim / 2 / (vector_bytes / size_of(params.dtype));
  plan.heads_per_thread = heads_per_thread;
}

// Threads that the whole device holds, of at most so many a multiprocessor.
double machine_of(const DeviceFacts& facts, int32_t most) {
  return static_cast<double>(facts.num_multiprocessors) *
         static_cast<double>(std::min(most, facts.threads_per_multiprocessor));
}

// The least work a thread can have if all threads are to be there at once, so that loads are
// waited for once; where there is more to do than that, the most.
template <size_t kCount>
void take_for_one_wave(const Params& params, const DeviceFacts& facts,
                       const Residence (&residences)[kCount], Plan& plan) {
  for (const Residence& residence : residences) {
    if (!shares_well(heads_of(params), residence.heads)) continue;
    take(params, residence.bytes, residence.heads, plan);
    if (threads_of(params, plan) <= machine_of(facts, residence.threads)) return;
  }
}

void set_work_of_thread(const Params& params, int32_t widest, const DeviceFacts& facts,
                        Plan& plan) {
  take(params, std::min(widest, 16), 1, plan);
  if (widest < 16 || angles_differ_by_head(params) || is_decode(params)) return;
  if (plan.source == Source::kGeneral) return take_for_one_wave(params, facts, kGeneral, plan);
  if (widest == 32) return take_for_one_wave(params, facts, kCommonWide, plan);
  take_for_one_wave(params, facts, kCommon, plan);
}

bool wants_dependent_launch(const Params& params, const Plan& plan, const DeviceFacts& facts) {
  const double machine = machine_of(facts, facts.threads_per_multiprocessor);
  return facts.image >= 90 && threads_of(params, plan) <= kMostWavesOfDependentLaunch * machine;
}

void set_kernel(const Params& params, const DeviceFacts& facts, Plan& plan) {
  const bool common = is_common(params);
  const int32_t widest = vector_bytes_of(params, common && facts.image >= 100 ? 32 : 16);
  if (common && widest >= 16) {
    plan.source = params.table.cos == nullptr ? Source::kComputed : Source::kTable;
  }
  set_work_of_thread(params, widest, facts, plan);
  plan.head_chunks = ceil_div(heads_of(params), plan.heads_per_thread);
  plan.dependent_launch = wants_dependent_launch(params, plan, facts);
}

void set_block(const Params& params, Plan& plan) {
  const int32_t threads = is_decode(params) ? kDecodeThreadsPerBlock : kThreadsPerBlock;
  const int64_t slots = std::min<int64_t>(plan.head_chunks, threads / plan.lanes);
  const int64_t head_slots = std::max<int64_t>(slots, 1);
  const int64_t per_token = plan.lanes * head_slots;
  const int64_t most = std::min<int64_t>(kMaxBlockZ, params.num_tokens);
  plan.block[0] = static_cast<uint32_t>(plan.lanes);
  plan.block[1] = static_cast<uint32_t>(head_slots);
  plan.block[2] = static_cast<uint32_t>(std::clamp<int64_t>(threads / per_token, 1, most));
}

// As much of a dimension, from first on, as a grid of at most max_blocks covers.
void set_range(int64_t first, int64_t extent, uint32_t per_block, int64_t max_blocks, Range& range,
               uint32_t& blocks) {
  const int64_t rest = extent - first;
  const int64_t count = std::min(ceil_div(rest, per_block), max_blocks);
  blocks = static_cast<uint32_t>(count);
  range = {first, first + std::min(rest, count * per_block)};
}

void set_tokens(const Params& params, Plan& plan, int64_t first) {
  set_range(first, params.num_tokens, plan.block[2], kMaxGridX, plan.tokens, plan.grid[0]);
}

void set_chunks(Plan& plan, int64_t first) {
  set_range(first, plan.head_chunks, plan.block[1], kMaxGridYZ, plan.chunks, plan.grid[1]);
}

void set_batches(const Params& params, Plan& plan, int64_t first) {
  set_range(first, params.num_batches, 1, kMaxGridYZ, plan.batches, plan.grid[2]);
}

void merge_strides(Strides& stride) {
  stride = {0, stride.batch, stride.head};
}

}  // namespace

Params merge_batches(const Params& params) noexcept {
  Params merged = params;
  const bool per_batch = params.offsets.data != nullptr;
  if (params.num_tokens != 1 || params.num_batches <= 1 || per_batch || is_empty(params)) {
    return merged;
  }
  for (int32_t a = 0; a < params.num_axes; ++a) {
    // A counted position is 0 for every token of a batch of one, and would not be after merging.
    if (params.axes[a].positions == nullptr) return merged;
    merged.axes[a].stride_token = params.axes[a].stride_batch;
    merged.axes[a].stride_batch = 0;
  }
  merged.num_tokens = params.num_batches;
  merged.num_batches = 1;
  for (Heads* heads : {&merged.q, &merged.k}) {
    merge_strides(heads->in_stride);
    merge_strides(heads->out_stride);
  }
  if (params.table.per_token) merge_strides(merged.table.stride);
  return merged;
}

int32_t vector_bytes_of(const Params& params, int32_t limit) noexcept {
  const uint64_t size = static_cast<uint64_t>(size_of(params.dtype));
  uint64_t bits = static_cast<uint64_t>(params.rotary_dim / 2) * size;
  for (const Heads* heads : {&params.q, &params.k}) {
    if (heads->num_heads == 0) continue;
    bits |= address_bits(heads->in, heads->in_stride, params, *heads);
    bits |= address_bits(heads->out, heads->out_stride, params, *heads);
  }
  const uint64_t lowest = bits & (uint64_t{0} - bits);
  return static_cast<int32_t>(std::clamp<uint64_t>(lowest, size, static_cast<uint64_t>(limit)));
}

bool is_common(const Params& params) noexcept {
  const int32_t size = size_of(params.dtype);
  return params.num_axes == 1 && params.num_sequences == 0 && !angles_differ_by_head(params) &&
         has_common_frequencies(params) &&
         (params.table.cos == nullptr || has_common_table(params)) &&
         params.num_batches <= kMaxInt32 && params.num_tokens <= kMaxInt32 &&
         fits_32_bits(params.q, size) && fits_32_bits(params.k, size) &&
         heads_of(params) <= kMaxInt32 / 8;
}

Plan make_plan(const Params& params, const DeviceFacts& facts) noexcept {
  Plan plan;
  set_kernel(params, facts, plan);
  if (is_empty(params)) return plan;
  set_block(params, plan);
  set_tokens(params, plan, 0);
  set_chunks(plan, 0);
  set_batches(params, plan, 0);
  return plan;
}

bool next_launch(const Params& params, Plan& plan) noexcept {
  if (is_empty(params)) return false;
  if (plan.tokens.end < params.num_tokens) {
    set_tokens(params, plan, plan.tokens.end);
    return true;
  }
  set_tokens(params, plan, 0);
  if (plan.chunks.end < plan.head_chunks) {
    set_chunks(plan, plan.chunks.end);
    return true;
  }
  set_chunks(plan, 0);
  if (plan.batches.end < params.num_batches) {
    set_batches(params, plan, plan.batches.end);
    return true;
  }
  return false;
}

}  // namespace rope
