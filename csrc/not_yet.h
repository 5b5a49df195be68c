// Keywords and ops that the schemas declare and nothing behind them serves yet.
#pragma once

#include "call.h"

namespace rope::glue {

// Raises "<op>: <keyword> is not supported yet" (NotImplementedError).
void refuse_not_yet(const Call& call);

// The same for inv_freq with several axes or per head.
void refuse_not_yet_frequencies(const char* op, const at::Tensor& inv_freq);

// The same for a gradient to an argument, and for forward-mode differentiation.
[[noreturn]] void refuse_gradient(const char* op, const char* argument);
[[noreturn]] void refuse_tangent(const char* op);

}  // namespace rope::glue
