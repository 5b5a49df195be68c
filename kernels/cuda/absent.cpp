// What stands in for cuda/ in a build without nvcc: every launch says so.
#include <rope/kernels.h>

#include "../status.h"

namespace rope {

const char* cuda_error_name(Status) noexcept {
  return "";
}

const char* cuda_error_text(Status) noexcept {
  return status_text(Status::kCudaError);
}

CudaCause cuda_cause(Status) noexcept {
  return CudaCause::kCall;
}

FoundCuda found_cuda() noexcept {
  return {};
}

Status launch_cuda(const Params&, void*) noexcept {
  return Status::kNoCudaBuild;
}

Status launch_table_cuda(const TableParams&, void*) noexcept {
  return Status::kNoCudaBuild;
}

Status launch_turns_cuda(const float*, int64_t, uint64_t*, void*) noexcept {
  return Status::kNoCudaBuild;
}

Status launch_turns_cuda(const double*, int64_t, uint64_t*, void*) noexcept {
  return Status::kNoCudaBuild;
}

}  // namespace rope
