// What autograd could record of a call's arguments. For autograd.cpp and mutation.cpp.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>

#include "call.h"

namespace rope::glue {

struct Argument {
  const char* name;
  const at::Tensor* tensor;  // nullptr: not given
};

// The tables among the arguments.
inline std::array<Argument, 3> table_arguments(const Keywords& keywords) {
  return {{{"cos_sin", given(keywords.cos_sin)},
           {"cos", given(keywords.cos)},
           {"sin", given(keywords.sin)}}};
}

inline bool has_tangent(const Argument& argument) {
  return argument.tensor != nullptr && argument.tensor->defined() &&
         argument.tensor->_fw_grad(/*level=*/0).defined();
}

inline bool requires_grad(const Argument& argument) {
  return argument.tensor != nullptr && argument.tensor->defined() &&
         argument.tensor->requires_grad();
}

}  // namespace rope::glue
