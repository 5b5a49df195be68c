// What the schemas allow and nothing behind them serves yet.
#pragma once

namespace rope::glue {

// Raises "<op>: a gradient to <argument> is not supported yet" (NotImplementedError).
[[noreturn]] void refuse_gradient(const char* op, const char* argument);

// The same for forward-mode differentiation.
[[noreturn]] void refuse_tangent(const char* op);

}  // namespace rope::glue
