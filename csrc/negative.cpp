// Negative views reach the ops here, ahead of torch's fallback, which would write to a copy of
// them.
#include <c10/util/Exception.h>

#include "ops.h"

namespace rope::glue {
namespace {

// The checks refuse negative views, so that no call comes this far.
void run(const Call& call, const Geometry&, const Outputs&) {
  TORCH_CHECK(false, call.op, ": negative views must be resolved first");
}

}  // namespace

TORCH_LIBRARY_IMPL(rope, Negative, m) {
  register_ops<&run>(m);
}

}  // namespace rope::glue
