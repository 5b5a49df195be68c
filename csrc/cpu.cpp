// The CPU kernels: slices of tokens or table rows on torch's threads. Compiled with OpenMP, without
// which at::parallel_for would run on one thread.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>

#include "ops.h"

namespace rope::glue {
namespace {

// Read and written by a slice. Two threads overtook one at 320 KiB in total: apply on 16 tokens of
// 40 bfloat16 heads of 128 in a loop, torch.set_num_threads(1) against (2), x86-64-v4.
constexpr int64_t kBytesPerSlice = 256 * 1024;
// What could be read and written while the angle of one pair is made: 0.5 ns of 70 bytes/ns there.
constexpr int64_t kBytesPerAngle = 32;

int64_t grain_of(int64_t bytes_per_item) {
  return std::max<int64_t>(1, kBytesPerSlice / std::max<int64_t>(1, bytes_per_item));
}

// Calls slice(first, last) for parts of 0 … count − 1 and throws what it reports.
template <class Slice>
void run_slices(const char* op, int64_t count, int64_t bytes_per_item, const Slice& slice) {
  std::atomic<Status> failure{Status::kSuccess};
  at::parallel_for(0, count, grain_of(bytes_per_item), [&](int64_t first, int64_t last) {
    const Status status = slice(first, last);
    if (status != Status::kSuccess) failure.store(status, std::memory_order_relaxed);
  });
  require_success(op, failure.load());
}

void run(const Call& call, const Geometry& geometry, const Outputs& outputs) {
  Lowered lowered;
  lower(call, geometry, outputs, lowered);
  copy_unrotated(call, geometry, outputs);
  const Params& params = lowered.params;
  const int64_t heads = params.q.num_heads + params.k.num_heads;
  const int64_t head_bytes = 2 * params.rotary_dim * static_cast<int64_t>(call.q.itemsize());
  const int64_t token_bytes = heads * head_bytes + params.rotary_dim / 2 * kBytesPerAngle;
  run_slices(call.op, params.num_batches * params.num_tokens, token_bytes,
             [&params](int64_t first, int64_t last) { return run_cpu(params, first, last); });
}

at::Tensor cos_sin_table(const at::Tensor& inv_freq, int64_t rows, int64_t start, double factor) {
  constexpr auto kOp = "rope::cos_sin_table";
  check_table_arguments(inv_freq, rows, factor);
  const at::Tensor contiguous = inv_freq.contiguous();
  const int64_t num_pairs = inv_freq.sizes().back();
  Words words;
  TableParams params;
  params.turns = turns_of_host(kOp, contiguous, words);
  params.num_pairs = static_cast<int32_t>(num_pairs);
  params.num_rows = rows;
  params.start = start;
  params.attention_factor = static_cast<float>(factor);
  at::Tensor out = at::empty({rows, 2 * num_pairs}, inv_freq.options().dtype(at::kFloat));
  params.out = out.mutable_data_ptr<float>();
  run_slices(
      kOp, rows, 2 * num_pairs * static_cast<int64_t>(sizeof(float)),
      [&params](int64_t first, int64_t last) { return fill_table_cpu(params, first, last); });
  return out;
}

at::Tensor turns(const at::Tensor& inv_freq) {
  check_turns_arguments(inv_freq);
  const at::Tensor contiguous = inv_freq.contiguous();
  at::Tensor out = at::empty(inv_freq.sizes(), inv_freq.options().dtype(at::kLong));
  make_turns("rope::turns", "inv_freq", contiguous,
             reinterpret_cast<uint64_t*>(out.mutable_data_ptr<int64_t>()));
  return out;
}

}  // namespace

TORCH_LIBRARY_IMPL(rope, CPU, m) {
  register_ops<&run>(m);
  m.impl("cos_sin_table", &cos_sin_table);
  m.impl("turns", &turns);
}

}  // namespace rope::glue
