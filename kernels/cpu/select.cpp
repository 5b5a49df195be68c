// Chooses the backend once, and runs it: the CPU entry points of <rope/kernels.h>.
#include <atomic>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "../phase.h"
#include "../plan.h"
#include "backend.h"
#include "float_mode.h"

namespace rope {

extern const Backend kBackendBaseline;
#if defined(__x86_64__)
extern const Backend kBackendX86V3;
extern const Backend kBackendX86V4;
#endif

namespace {

struct Candidate {
  const Backend* backend;
  bool supported;
};

constexpr int kMostCandidates = 3;

#if defined(__x86_64__)
// __builtin_cpu_supports("f16c"), which clang 14 does not know. AVX2, asked for beside it, says
// that the system keeps the registers.
bool has_f16c() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

// The widest first.
int candidates(Candidate* list) {
  int count = 0;
#if defined(__x86_64__)
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi2") && has_f16c();
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512cd");
  list[count++] = {&kBackendX86V4, v4};
  list[count++] = {&kBackendX86V3, v3};
#endif
  list[count++] = {&kBackendBaseline, true};
  return count;
}

// The first supported one, or of a name; nullptr if there is none.
const Backend* find(const char* name) {
  Candidate list[kMostCandidates];
  const int count = candidates(list);
  for (int i = 0; i < count; ++i) {
    const bool wanted = name == nullptr || std::strcmp(name, list[i].backend->name) == 0;
    if (wanted && list[i].supported) return list[i].backend;
  }
  return nullptr;
}

std::atomic<const Backend*> chosen{nullptr};

}  // namespace

const Backend& backend() noexcept {
  const Backend* current = chosen.load(std::memory_order_relaxed);
  if (current == nullptr) {
    current = find(nullptr);
    chosen.store(current, std::memory_order_relaxed);
  }
  return *current;
}

bool use_backend(const char* name) noexcept {
  const Backend* found = find(name);
  if (found != nullptr) chosen.store(found, std::memory_order_relaxed);
  return found != nullptr;
}

Status run_cpu(const Params& params, int64_t first, int64_t last) noexcept {
  const Status status = validate(params);
  if (status != Status::kSuccess || is_empty(params)) return status;
  if (first < 0 || last > params.num_batches * params.num_tokens) return Status::kExtent;
  const IeeeFloatMode mode;
  if (first < last) backend().rotate(params, first, last);
  return Status::kSuccess;
}

Status run_cpu(const Params& params) noexcept {
  const Status status = validate(params);
  if (status != Status::kSuccess) return status;
  return run_cpu(params, 0, params.num_batches * params.num_tokens);
}

Status fill_table_cpu(const TableParams& params, int64_t first, int64_t last) noexcept {
  const Status status = validate(params);
  if (status != Status::kSuccess || params.num_rows == 0) return status;
  if (first < 0 || last > params.num_rows) return Status::kExtent;
  const IeeeFloatMode mode;
  if (first < last) backend().fill_table(params, first, last);
  return Status::kSuccess;
}

uint64_t turns_from_frequency(double inv_freq) noexcept {
  return turns_of(inv_freq);
}

}  // namespace rope
