// The backend of processors without registers of their own in kernels/cpu, for generic_test.cpp: on
// an x86-64 nothing else compiles pack_generic.h.
#define ROPE_TARGET generic
#define ROPE_GENERIC_PACK
#include "cpu/traverse.h"

namespace rope {

extern const Backend kBackendGeneric;
constexpr Backend kBackendGeneric = make_backend("generic");

}  // namespace rope
