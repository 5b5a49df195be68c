// The path of rope::apply up to the point where something would run.
#include "explain.h"

#include <c10/util/Exception.h>
#include <torch/version.h>

#include <sstream>

#include "../kernels/cpu/backend.h"
#include "checks.h"
#include "lower.h"

namespace rope::glue {
namespace {

Work work_on_cpu(const Params& params) {
  return {backend().vector_bytes, params.q.num_heads + params.k.num_heads, {}, {}};
}

Work work_on_cuda(const Params& params, const DeviceFacts& facts) {
  const Plan plan = make_plan(merge_batches(params), facts);
  return {plan.vector_bytes, plan.heads_per_thread,
          std::array<uint32_t, 3>{plan.grid[0], plan.grid[1], plan.grid[2]},
          std::array<uint32_t, 3>{plan.block[0], plan.block[1], plan.block[2]}};
}

int64_t bytes_of(const Call& call, const Params& params) {
  const auto item_bytes = static_cast<int64_t>(call.q.itemsize());
  const int64_t heads = params.q.num_heads + params.k.num_heads;
  int64_t bytes = 2 * heads * params.rotary_dim * item_bytes;
  for (int32_t a = 0; a < params.num_axes && call.pos != nullptr; ++a) {
    bytes += static_cast<int64_t>(call.pos->itemsize());
  }
  if (params.table.cos != nullptr) {
    const int64_t rows = params.table.stride.head == 0 ? 1 : heads;
    bytes += rows * params.rotary_dim * (params.table.dtype == Dtype::kFloat32 ? 4 : 2);
  }
  return bytes * params.num_batches * params.num_tokens;
}

void explain_call(const Call& call, const DeviceFacts& facts, Explanation& explanation) {
  const Geometry geometry = check(call);
  Lowered lowered;
  lower(call, geometry, {call.q, call.k}, lowered);
  const Params& params = lowered.params;
  explanation.is_table = params.table.cos != nullptr;
  explanation.bytes = bytes_of(call, params);
  if (call.q.is_cpu()) explanation.work = work_on_cpu(params);
  if (call.q.is_cuda()) explanation.work = work_on_cuda(params, facts);
}

}  // namespace

Explanation explain(const at::Tensor& q, const std::optional<at::Tensor>& k,
                    const std::optional<at::Tensor>& pos, const Options& options,
                    const DeviceFacts& facts) {
  const Keywords keywords{options.inv_freq,   options.cos_sin,       options.cos,
                          options.sin,        options.base,          options.attention_factor,
                          options.rotary_dim, options.rotary_offset, options.interleaved,
                          options.inverse,    options.layout,        options.offsets,
                          options.cu_seqlens, options.skip_negative};
  Explanation explanation;
  explanation.backend = c10::DeviceTypeName(q.device().type(), /*lower_case=*/true);
  try {
    check_not_recorded(q, k, keywords);
    explain_call({"rope::apply", true, q, given(k), given(pos), keywords}, facts, explanation);
  } catch (const c10::Error& error) {
    explanation.error = error.what_without_backtrace();
  }
  return explanation;
}

BuildInfo build_info() {
  BuildInfo info;
  info.version = ROPE_VERSION_STRING;
  info.torch = TORCH_VERSION;
  if (std::string(ROPE_CUDA_VERSION).empty()) return info;
  info.cuda = ROPE_CUDA_VERSION;
  // By age, as CMake writes them: "80-real 120", where only 120 comes with PTX.
  std::istringstream entries(ROPE_CUDA_ARCHITECTURES);
  for (std::string entry; entries >> entry;) {
    const std::string number = entry.substr(0, entry.find('-'));
    if (entry.find("-virtual") == std::string::npos) info.architectures.push_back("sm_" + number);
    if (entry.find("-real") == std::string::npos) info.ptx = "compute_" + number;
  }
  return info;
}

}  // namespace rope::glue
