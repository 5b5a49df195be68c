// The CPU backend for any processor of the architecture. On AArch64 that includes NEON and fused
// operations; on x86-64 it means SSE2, and software_fma.
#include "traverse.h"

namespace rope {

#if defined(__aarch64__)
constexpr const char* kName = "neon";
#else
constexpr const char* kName = "baseline";
#endif

extern const Backend kBackendBaseline;
constexpr Backend kBackendBaseline = make_backend(kName);

}  // namespace rope
