// The CPU backend for x86-64-v4: AVX-512 F, BW, DQ, VL; CMakeLists.txt gives this file its flags.
#define ROPE_TARGET x86_64_v4
#include "traverse.h"

namespace rope {

extern const Backend kBackendX86V4;
constexpr Backend kBackendX86V4 = make_backend("x86-64-v4");

}  // namespace rope
