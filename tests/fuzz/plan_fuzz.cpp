// validate and the planner, which read no memory: extents, strides and addresses of any value, on a
// GPU of any size. What is accepted gets launches within CUDA's limits, each of which covers
// something, that follow one another without a gap to the end of the call.
#include "plan.h"

#include <algorithm>
#include <vector>

#include "drawn_params.h"

namespace rope::fuzz {
namespace {

using Wide = __int128;

constexpr int kMostLaunches = 32;

void require_expected(const Params& params, const std::vector<Status>& reasons) {
  const Status status = validate(params);
  require(reasons.empty() == (status == Status::kSuccess), "accepts what the contract accepts");
  require(reasons.empty() || std::count(reasons.begin(), reasons.end(), status) > 0,
          "refused for a reason that there is");
  require(status_text(status)[0] != '\0', "every status has a text");
}

// Elements that a vector access starts at: all multiples of its width.
void require_aligned(const void* address, const Strides& stride, const Params& p, int64_t num_heads,
                     const Plan& plan) {
  const uint64_t item = p.dtype == Dtype::kFloat32 ? 4 : 2;
  const auto width = static_cast<uint64_t>(plan.vector_bytes);
  const auto starts_at = [&](int64_t extent, int64_t step) {
    const bool aligned = extent <= 1 || static_cast<uint64_t>(step) * item % width == 0;
    require(aligned, "vectors lie at multiples of their width");
  };
  require(reinterpret_cast<uintptr_t>(address) % width == 0, "the first vector is aligned");
  starts_at(p.num_batches, stride.batch);
  starts_at(p.num_tokens, stride.token);
  starts_at(num_heads, stride.head);
  starts_at(2, p.rotary_dim / 2);
}

bool has_kernel(const Plan& plan) {
  const int32_t heads = plan.heads_per_thread;
  const bool is_general = plan.source == Source::kGeneral;
  if (plan.vector_bytes == 32) return !is_general && heads <= 2;
  if (plan.vector_bytes == 16) return heads <= 2 || heads == 4 || (!is_general && heads == 5);
  return is_general && heads == 1;
}

void require_sound_kernel(const Params& p, const DeviceFacts& facts, const Plan& plan) {
  const int32_t item = p.dtype == Dtype::kFloat32 ? 4 : 2;
  require(plan.vector_bytes >= item && plan.vector_bytes <= 32, "a width between item and 32");
  require((plan.vector_bytes & (plan.vector_bytes - 1)) == 0, "a width that is a power of two");
  require(plan.vector_bytes < 32 || facts.image >= 100, "32 bytes only in code for sm_100");
  require(!plan.dependent_launch || facts.image >= 90, "dependent launches of code for sm_90");
  require(plan.lanes * (plan.vector_bytes / item) * 2 == p.rotary_dim, "lanes cover a head");
  require(has_kernel(plan), "a kernel that dispatch.h lists");
  require(plan.source == Source::kGeneral || is_common(p), "common kernels for common calls");
  const int32_t heads = plan.heads_per_thread;
  const Wide all = Wide{p.q.num_heads} + p.k.num_heads;
  const Wide idle = Wide{plan.head_chunks} * heads - all;
  require(idle >= 0 && idle < heads && 8 * idle <= all, "chunks have all heads, and few more");
  for (const Heads* tensor : {&p.q, &p.k}) {
    if (tensor->num_heads == 0) continue;
    require_aligned(tensor->in, tensor->in_stride, p, tensor->num_heads, plan);
    require_aligned(tensor->out, tensor->out_stride, p, tensor->num_heads, plan);
  }
}

void require_covered(const Range& range, int64_t extent, uint32_t blocks, Wide per_block,
                     int64_t most_blocks) {
  require(range.first >= 0 && range.first < range.end && range.end <= extent,
          "a launch covers something that there is");
  const Wide count = Wide{range.end} - range.first;
  require(blocks >= 1 && blocks <= most_blocks, "the grid is within CUDA's limits");
  require(blocks * per_block >= count && (blocks - 1) * per_block < count, "no block too many");
}

void require_sound_launch(const Params& p, const Plan& plan) {
  const uint64_t threads = uint64_t{plan.block[0]} * plan.block[1] * plan.block[2];
  require(threads >= 1 && threads <= 1024, "a block of at most 1024 threads");
  require(plan.block[2] >= 1 && plan.block[2] <= 64, "a block at most 64 deep");
  require(plan.block[0] == static_cast<uint32_t>(plan.lanes), "a block has all lanes");
  require_covered(plan.tokens, p.num_tokens, plan.grid[0], plan.block[2], 0x7fffffff);
  require_covered(plan.chunks, plan.head_chunks, plan.grid[1], plan.block[1], 65535);
  require_covered(plan.batches, p.num_batches, plan.grid[2], 1, 65535);
}

// Tokens fastest, then chunks, then batches.
void require_follows(const Params& p, const Plan& before, const Plan& plan) {
  if (before.tokens.end < p.num_tokens) {
    require(plan.tokens.first == before.tokens.end, "tokens go on where they were left");
    return;
  }
  require(plan.tokens.first == 0, "tokens start over");
  if (before.chunks.end < before.head_chunks) {
    require(plan.chunks.first == before.chunks.end, "chunks go on where they were left");
    return;
  }
  require(plan.chunks.first == 0, "chunks start over");
  require(plan.batches.first == before.batches.end, "batches go on where they were left");
}

// Makes one dimension's launch the n-th of those before the last, for an n that one would wait
// years for; such launches are as large as they get.
void leap(Input& input, int64_t extent, uint32_t per_block, uint32_t most_blocks, Range& range,
          uint32_t& blocks) {
  const Wide per_launch = Wide{most_blocks} * per_block;
  const Wide launches = (extent + per_launch - 1) / per_launch;
  if (launches < 2) return;
  const Wide drawn = static_cast<uint64_t>(input.integer());
  const Wide number = input.one_in(2) ? launches - 2 : drawn % (launches - 1);
  range = {static_cast<int64_t>(number * per_launch),
           static_cast<int64_t>((number + 1) * per_launch)};
  blocks = most_blocks;
}

void require_sound_launches(Input& input, const Params& p, Plan plan) {
  for (int i = 0; i < kMostLaunches; ++i) {
    require_sound_launch(p, plan);
    if (input.one_in(4)) {
      leap(input, p.num_tokens, plan.block[2], 0x7fffffff, plan.tokens, plan.grid[0]);
      leap(input, plan.head_chunks, plan.block[1], 65535, plan.chunks, plan.grid[1]);
      leap(input, p.num_batches, 1, 65535, plan.batches, plan.grid[2]);
    }
    const Plan before = plan;
    if (!next_launch(p, plan)) {
      const bool is_last = before.tokens.end == p.num_tokens &&
                           before.chunks.end == before.head_chunks &&
                           before.batches.end == p.num_batches;
      return require(is_last, "the launches end with the call");
    }
    require_follows(p, before, plan);
  }
}

void run(Input& input) {
  Params params = draw_params(input, {3, 200});
  draw_fake_addresses(input, params);
  const std::vector<Status> reasons = reasons_to_refuse(params);
  require_expected(params, reasons);
  if (!reasons.empty()) return;
  DeviceFacts facts;
  facts.num_multiprocessors = static_cast<int32_t>(input.between(1, 1000));
  if (input.one_in(4)) facts.threads_per_multiprocessor = input.raw<uint16_t>();
  facts.image = input.one_in(2) ? 100 : static_cast<int32_t>(input.between(80, 121));
  const Params merged = merge_batches(params);
  require(
      Wide{merged.num_batches} * merged.num_tokens == Wide{params.num_batches} * params.num_tokens,
      "merging keeps the tokens");
  require(validate(merged) == Status::kSuccess, "what is merged is as valid");
  const Plan plan = make_plan(merged, facts);
  if (is_empty(merged)) {
    return require(plan.grid[0] == 0 && plan.grid[1] == 0 && plan.grid[2] == 0,
                   "nothing is launched for nothing");
  }
  require_sound_kernel(merged, facts, plan);
  require_sound_launches(input, merged, plan);
}

}  // namespace
}  // namespace rope::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rope::fuzz::Input input(data, size);
  rope::fuzz::run(input);
  return 0;
}
