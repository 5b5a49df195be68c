// The frequency builders as functions of torch_rope._C. For module.cpp.
#pragma once

#include <torch/csrc/utils/pybind.h>

namespace rope::glue {

// Defines schedules_<scheme>, positional arguments as in <rope/schedules.h>: each returns
// (inv_freq, attention_factor), inv_freq float64 (n,), or (A, n) for a scheme of several axes.
// std::invalid_argument becomes ValueError.
void define_schedules(pybind11::module_& m);

}  // namespace rope::glue
