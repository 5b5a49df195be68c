// The planner: vector width by alignment, heads per thread by regime, grid by extents.
#include "plan.h"

#include <algorithm>
#include <initializer_list>

namespace rope {
namespace {

constexpr int32_t kThreadsPerBlock = 256;
// Decode: so few tokens that every thread should start at once, whatever it then recomputes.
constexpr int64_t kDecodeTokens = 64;
constexpr int64_t kMaxGridX = 0x7fffffff;
constexpr int64_t kMaxGridYZ = 65535;
constexpr int64_t kMaxBlockZ = 64;

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

int32_t heads_per_thread_of(const Params& params, const Plan& plan, const DeviceFacts& facts) {
  if (plan.vector_bytes < 16 || angles_differ_by_head(params)) return 1;
  const int64_t tokens = params.num_batches * params.num_tokens;
  if (tokens <= kDecodeTokens) return 1;
  const int64_t heads = params.q.num_heads + params.k.num_heads;
  const double machine = static_cast<double>(facts.num_multiprocessors) *
                         static_cast<double>(facts.threads_per_multiprocessor);
  // The most heads that still fill the machine once, and that leave no thread with fewer.
  for (const int32_t candidate : {5, 4, 2}) {
    const double threads = static_cast<double>(tokens) * static_cast<double>(plan.lanes) *
                           static_cast<double>(heads) / candidate;
    if (heads % candidate == 0 && threads >= machine) return candidate;
  }
  return 1;
}

void set_block(const Params& params, Plan& plan) {
  const int64_t slots = std::min<int64_t>(plan.head_chunks, kThreadsPerBlock / plan.lanes);
  const int64_t head_slots = std::max<int64_t>(slots, 1);
  const int64_t per_token = plan.lanes * head_slots;
  const int64_t most = std::min<int64_t>(kMaxBlockZ, params.num_tokens);
  plan.block[0] = static_cast<uint32_t>(plan.lanes);
  plan.block[1] = static_cast<uint32_t>(head_slots);
  plan.block[2] = static_cast<uint32_t>(std::clamp<int64_t>(kThreadsPerBlock / per_token, 1, most));
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

int32_t vector_bytes_of(const Params& params) noexcept {
  const uint64_t size = static_cast<uint64_t>(size_of(params.dtype));
  uint64_t bits = static_cast<uint64_t>(params.rotary_dim / 2) * size;
  for (const Heads* heads : {&params.q, &params.k}) {
    if (heads->num_heads == 0) continue;
    bits |= address_bits(heads->in, heads->in_stride, params, *heads);
    bits |= address_bits(heads->out, heads->out_stride, params, *heads);
  }
  const uint64_t lowest = bits & (uint64_t{0} - bits);
  return static_cast<int32_t>(std::clamp<uint64_t>(lowest, size, 16));
}

Plan make_plan(const Params& params, const DeviceFacts& facts) noexcept {
  Plan plan;
  plan.vector_bytes = vector_bytes_of(params);
  plan.source = params.table.cos == nullptr ? Source::kComputed : Source::kTable;
  const int32_t pairs = plan.vector_bytes / size_of(params.dtype);
  plan.lanes = params.rotary_dim / 2 / pairs;
  plan.heads_per_thread = heads_per_thread_of(params, plan, facts);
  plan.head_chunks = ceil_div(params.q.num_heads + params.k.num_heads, plan.heads_per_thread);
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
