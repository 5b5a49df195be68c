// The CPU backend for x86-64-v3: AVX2, FMA, F16C; CMakeLists.txt gives this file its flags.
#define ROPE_TARGET x86_64_v3
#include "traverse.h"

namespace rope {

extern const Backend kBackendX86V3;
constexpr Backend kBackendX86V3 = make_backend("x86-64-v3");

}  // namespace rope
