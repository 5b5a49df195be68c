// The path of rope::apply up to the point where something would run.
#include "explain.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/TensorImpl.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include "../kernels/cpu/backend.h"
#include "checks.h"
#include "launch_error.h"
#include "lower.h"

namespace rope::glue {
namespace {

constexpr auto kOp = "rope::apply";

// A call of tensors that the explanation has made itself.
struct OwnCall {
  at::Tensor q;
  OptionalTensor k;
  OptionalTensor pos;
  Options options;
};

Keywords keywords_of(const Options& options) {
  return {options.inv_freq,    options.cos_sin,          options.cos,        options.sin,
          options.base,        options.attention_factor, options.rotary_dim, options.rotary_offset,
          options.interleaved, options.inverse,          options.layout,     options.offsets,
          options.cu_seqlens,  options.skip_negative};
}

std::array<const at::Tensor*, 9> tensors_of(const Call& call) {
  const Keywords& keywords = call.keywords;
  return {&call.q,
          call.k,
          call.pos,
          given(keywords.inv_freq),
          given(keywords.cos_sin),
          given(keywords.cos),
          given(keywords.sin),
          given(keywords.offsets),
          given(keywords.cu_seqlens)};
}

// Sparse tensors, other devices: what has no kernel the dispatcher refuses in its own words, before
// anything runs. Where a fallback would take the call it is left to it.
void check_has_kernel(const Call& call, const Options& options) {
  c10::DispatchKeySet keys;
  for (const at::Tensor* tensor : tensors_of(call)) {
    if (tensor != nullptr) keys = keys | tensor->key_set();
  }
  const c10::DispatchKey key = c10::legacyExtractDispatchKey(keys);
  const bool is_served = detail::apply_op().hasKernelForDispatchKey(key) ||
                         c10::Dispatcher::singleton().hasBackendFallbackForDispatchKey(key);
  if (is_served) return;
  const auto optional = [](const at::Tensor* tensor) {
    return tensor == nullptr ? OptionalTensor() : OptionalTensor(*tensor);
  };
  apply(call.q, optional(call.k), optional(call.pos), options);
}

bool has_symbolic_extents(const Call& call) {
  for (const at::Tensor* tensor : tensors_of(call)) {
    if (tensor != nullptr && tensor->unsafeGetTensorImpl()->has_symbolic_sizes_strides()) {
      return true;
    }
  }
  return false;
}

// The arguments that lower copies, by name.
std::vector<const char*> copies_of(const Keywords& keywords) {
  std::vector<const char*> names;
  const at::Tensor* cos = given(keywords.cos);
  const at::Tensor* inv_freq = given(keywords.inv_freq);
  if (cos != nullptr && cos->strides() != keywords.sin->strides()) names = {"cos", "sin"};
  if (inv_freq != nullptr && !inv_freq->is_contiguous()) names.push_back("inv_freq");
  return names;
}

// A tensor of these strides that has an address, which nobody may follow. Not a fake tensor, so
// that no tracer sees it; the path that explain takes calls no operators of torch's on it.
at::Tensor with_address(const at::Tensor& tensor, at::IntArrayRef strides) {
  alignas(64) static std::byte address;
  c10::Storage storage(c10::Storage::use_byte_size_t(), size_t{0},
                       at::DataPtr(&address, at::Device(at::kMeta)));
  auto impl = c10::make_intrusive<c10::TensorImpl>(
      std::move(storage), c10::DispatchKeySet(c10::DispatchKey::Meta), tensor.dtype());
  impl->set_sizes_and_strides(tensor.sizes(), strides, tensor.storage_offset());
  return at::Tensor(std::move(impl));
}

// The copy that lower would make, without its values.
at::Tensor copy_of(const at::Tensor& tensor) {
  std::vector<int64_t> strides(static_cast<size_t>(tensor.dim()), 1);
  for (size_t d = strides.size(); d-- > 1;) strides[d - 1] = strides[d] * tensor.sizes()[d];
  return with_address(tensor, strides);
}

// The call for lower, which wants addresses and would copy: the same where neither is a matter.
OwnCall ready_to_lower(const Call& call, const Options& options) {
  const bool is_real = has_memory(call.q);
  const auto ready = [is_real](const at::Tensor* tensor) -> OptionalTensor {
    if (tensor == nullptr) return {};
    return is_real ? *tensor : with_address(*tensor, tensor->strides());
  };
  OwnCall own{*ready(&call.q), ready(call.k), ready(call.pos), options};
  for (auto Options::*member : {&Options::cos_sin, &Options::cos, &Options::sin, &Options::inv_freq,
                                &Options::offsets, &Options::cu_seqlens}) {
    own.options.*member = ready(given(options.*member));
  }
  for (const std::string_view name : copies_of(call.keywords)) {
    if (name == "cos") own.options.cos = copy_of(*options.cos);
    if (name == "sin") own.options.sin = copy_of(*options.sin);
    // Values on the host are looked at.
    const bool has_values = is_real && options.inv_freq && options.inv_freq->is_cpu();
    if (name == "inv_freq" && !has_values) own.options.inv_freq = copy_of(*options.inv_freq);
  }
  return own;
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

Work work_on_cpu(const Params& params) {
  const int64_t heads = params.q.num_heads + params.k.num_heads;
  const int64_t sharing = angles_differ_by_head(params) ? std::min<int64_t>(heads, 1) : heads;
  return {backend().vector_bytes, sharing, {}, {}, {}};
}

int64_t parts_of(int64_t extent, const Range& first) {
  return extent / first.end + (extent % first.end != 0);
}

// The kernels for call beside the copies; params are call's.
int64_t launches_of(const Call& call, const Params& params, const Plan& plan) {
  if (is_empty(params)) return 0;
  const at::Tensor* inv_freq = given(call.keywords.inv_freq);
  const bool is_converted =
      inv_freq != nullptr && !inv_freq->is_cpu() && inv_freq->scalar_type() != at::kLong;
  return (is_converted ? 1 : 0) + parts_of(params.num_tokens, plan.tokens) *
                                      parts_of(plan.head_chunks, plan.chunks) *
                                      parts_of(params.num_batches, plan.batches);
}

int64_t copies_on_device(const Call& call, const std::vector<const char*>& copies) {
  const at::Tensor* inv_freq = given(call.keywords.inv_freq);
  int64_t count = 0;
  for (const std::string name : copies) {
    const at::Tensor& copied = name == "inv_freq" ? *inv_freq : *call.keywords.cos;
    if (!copied.is_cpu() && copied.numel() > 0) ++count;
  }
  return count;
}

Work work_on_cuda(const Call& call, const Params& given_params, const Gpu& gpu,
                  const std::vector<const char*>& copies) {
  const Params params = merge_batches(given_params);
  DeviceFacts facts = gpu.facts;
  if (gpu.architecture != 0) facts.image = image_of(build_info(), gpu.architecture);
  const Plan plan = make_plan(params, facts);
  return {plan.vector_bytes, plan.heads_per_thread,
          std::array<uint32_t, 3>{plan.grid[0], plan.grid[1], plan.grid[2]},
          std::array<uint32_t, 3>{plan.block[0], plan.block[1], plan.block[2]},
          launches_of(call, params, plan) + copies_on_device(call, copies)};
}

// What launch_cuda would answer, as far as that can be told beforehand.
Status launch_status(const Params& params, const Call& call, const Gpu& gpu) {
  constexpr int32_t kNoKernelImageForDevice = 209;  // cudaErrorNoKernelImageForDevice
  if (is_empty(params)) return Status::kSuccess;
  const BuildInfo build = build_info();
  if (!build.cuda) return Status::kNoCudaBuild;
  const at::Tensor* inv_freq = given(call.keywords.inv_freq);
  if (inv_freq != nullptr && inv_freq->is_cpu() && inv_freq->numel() > kMaxHostTurns) {
    return Status::kHostTurns;
  }
  if (gpu.architecture == 0 || serves(build, gpu.architecture)) return Status::kSuccess;
  return static_cast<Status>(static_cast<int32_t>(Status::kCudaError) + kNoKernelImageForDevice);
}

void check_runs(const Call& call, Params params, const Gpu& gpu) {
  // What the call would convert to turns, it would have an address for.
  static constexpr uint64_t kTurns = 0;
  if (given(call.keywords.inv_freq) != nullptr) params.frequencies.turns = &kTurns;
  if (!is_empty(params)) require_success(kOp, validate(params));
  if (!call.q.is_cuda() || !has_memory(call.q)) return;
  const Status status = launch_status(params, call, gpu);
  TORCH_CHECK(status == Status::kSuccess, kOp, ": ",
              launch_error_text(status, build_info(), {gpu.architecture, 0}));
}

Costs costs_of(const Call& call, const Geometry& geometry, const Options& options, const Gpu& gpu) {
  Costs costs;
  costs.copies = copies_of(call.keywords);
  const OwnCall own = ready_to_lower(call, options);
  const Keywords keywords = keywords_of(own.options);
  const Call ready{kOp, true, own.q, given(own.k), given(own.pos), keywords};
  Lowered lowered;
  lower(ready, geometry, {ready.q, ready.k}, lowered);
  const Params& params = lowered.params;
  check_runs(call, params, gpu);
  costs.bytes = bytes_of(call, params);
  if (call.q.is_cpu()) costs.work = work_on_cpu(params);
  if (call.q.is_cuda()) costs.work = work_on_cuda(call, params, gpu, costs.copies);
  return costs;
}

std::optional<std::string> place_of_frequencies(const Keywords& keywords, bool is_table) {
  const at::Tensor* inv_freq = given(keywords.inv_freq);
  if (inv_freq != nullptr) return inv_freq->is_cpu() ? "host" : "device";
  if (is_table) return {};
  return "base";
}

void explain_call(const Call& call, const Options& options, const Gpu& gpu,
                  Explanation& explanation) {
  const Geometry geometry = check(call);
  explanation.is_table = given(options.cos_sin) != nullptr || given(options.cos) != nullptr;
  explanation.frequencies = place_of_frequencies(call.keywords, explanation.is_table);
  if (!has_symbolic_extents(call)) explanation.costs = costs_of(call, geometry, options, gpu);
}

}  // namespace

Explanation explain(const at::Tensor& q, const std::optional<at::Tensor>& k,
                    const std::optional<at::Tensor>& pos, const Options& options, const Gpu& gpu) {
  const Keywords keywords = keywords_of(options);
  const Call call{kOp, true, q, given(k), given(pos), keywords};
  Explanation explanation;
  explanation.backend = c10::DeviceTypeName(q.device().type(), /*lower_case=*/true);
  try {
    check_not_recorded(q, k, keywords);
    check_has_kernel(call, options);
    explain_call(call, options, gpu, explanation);
  } catch (const c10::Error& error) {
    explanation.error = error.what_without_backtrace();
  }
  return explanation;
}

}  // namespace rope::glue
