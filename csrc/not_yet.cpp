// The refusals of what has only a schema so far: supporting it means to delete its line here.
#include "not_yet.h"

#include <c10/util/Exception.h>

namespace rope::glue {

void refuse_gradient(const char* op, const char* argument) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, op, ": a gradient to ", argument, " is not supported yet");
}

void refuse_tangent(const char* op) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, op, ": forward-mode differentiation is not supported yet");
}

}  // namespace rope::glue
