// The CUDA kernels: the tensors' device, its current stream, one launch. No CUDA header, so that
// one library serves CPU and CUDA builds of torch.
#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include "../kernels/plan.h"
#include "launch_error.h"
#include "ops.h"

namespace rope::glue {
namespace {

// Of the device's own type: at::accelerator's is another one where a process has two.
void* current_stream(const at::Device& device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle();
}

// Throws c10::Error unless it is kSuccess; the device that was meant is current.
void require_launched(const char* op, Status status) {
  if (C10_LIKELY(status == Status::kSuccess)) return;
  TORCH_CHECK(false, op, ": ", launch_error_text(status, build_info(), found_cuda()));
}

// The turns of a contiguous floating-point inv_freq in device memory.
at::Tensor launch_turns(const char* op, const at::Tensor& inv_freq, void* stream) {
  at::Tensor turns = at::empty(inv_freq.sizes(), inv_freq.options().dtype(at::kLong));
  auto* words = reinterpret_cast<uint64_t*>(turns.mutable_data_ptr<int64_t>());
  const int64_t count = inv_freq.numel();
  if (count == 0) return turns;
  const Status status =
      inv_freq.scalar_type() == at::kFloat
          ? launch_turns_cuda(inv_freq.const_data_ptr<float>(), count, words, stream)
          : launch_turns_cuda(inv_freq.const_data_ptr<double>(), count, words, stream);
  require_launched(op, status);
  return turns;
}

void run(const Call& call, const Geometry& geometry, const Outputs& outputs) {
  const c10::DeviceGuard guard(call.q.device());
  void* stream = current_stream(call.q.device());
  Lowered lowered;
  lower(call, geometry, outputs, lowered);
  if (is_empty(lowered.params)) return;
  copy_unrotated(call, geometry, outputs);
  Frequencies& frequencies = lowered.params.frequencies;
  // Freed when this returns: the allocator hands memory on in the order of the stream.
  at::Tensor turns;
  if (lowered.inv_freq.defined() && frequencies.turns == nullptr) {
    turns = launch_turns(call.op, lowered.inv_freq, stream);
    frequencies.turns = reinterpret_cast<const uint64_t*>(turns.const_data_ptr<int64_t>());
  }
  require_launched(call.op, launch_cuda(lowered.params, stream));
}

at::Tensor cos_sin_table(const at::Tensor& inv_freq, int64_t rows, int64_t start, double factor) {
  constexpr auto kOp = "rope::cos_sin_table";
  check_table_arguments(inv_freq, rows, factor);
  const c10::DeviceGuard guard(inv_freq.device());
  void* stream = current_stream(inv_freq.device());
  const int64_t num_pairs = inv_freq.sizes().back();
  at::Tensor out = at::empty({rows, 2 * num_pairs}, inv_freq.options().dtype(at::kFloat));
  if (rows == 0) return out;
  at::Tensor turns = inv_freq.contiguous();
  if (inv_freq.scalar_type() != at::kLong) turns = launch_turns(kOp, turns, stream);
  TableParams params;
  params.turns = reinterpret_cast<const uint64_t*>(turns.const_data_ptr<int64_t>());
  params.num_pairs = static_cast<int32_t>(num_pairs);
  params.num_rows = rows;
  params.start = start;
  params.may_be_invalid = inv_freq.scalar_type() != at::kLong;
  params.attention_factor = static_cast<float>(factor);
  params.out = out.mutable_data_ptr<float>();
  require_launched(kOp, launch_table_cuda(params, stream));
  return out;
}

at::Tensor turns(const at::Tensor& inv_freq) {
  check_turns_arguments(inv_freq);
  const c10::DeviceGuard guard(inv_freq.device());
  return launch_turns("rope::turns", inv_freq.contiguous(), current_stream(inv_freq.device()));
}

}  // namespace

TORCH_LIBRARY_IMPL(rope, CUDA, m) {
  register_ops<&run>(m);
  m.impl("cos_sin_table", &cos_sin_table);
  m.impl("turns", &turns);
}

}  // namespace rope::glue
