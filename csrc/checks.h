// All checks of arguments, before anything is written: the same for real, meta and fake tensors,
// with symbolic extents too. For the kernels of csrc/ and explain.
// Every broken rule throws c10::Error (RuntimeError in Python) "<op>: <rule>, got <value>"; what is
// not supported yet throws c10::NotImplementedError, which Python derives from RuntimeError.
#pragma once

#include <c10/core/ScalarType.h>
#include <c10/core/SymInt.h>

#include "call.h"

namespace rope::glue {

// What the checks found out, for those who go on with the call.
struct Geometry {
  Dims dims;
  c10::SymInt rotary_dim;
};

// Everything that extents, strides, types, devices and addresses tell. Not the values of positions,
// tables and frequencies: frequencies.h refuses those that are not finite.
Geometry check(const Call& call);

// What autograd asks of rope::apply: no tangents, and in grad mode nothing that requires grad.
void check_not_recorded(const at::Tensor& q, const OptionalTensor& k, const Keywords& keywords);

// What the arguments of rope::cos_sin_table and rope::turns must be.
void check_table_arguments(const at::Tensor& inv_freq, int64_t rows, double attention_factor);
void check_turns_arguments(const at::Tensor& inv_freq);

// Parts of check, in the order in which it calls them.
void check_numbers(const Call& call);
Dims check_heads(const Call& call);
c10::SymInt check_angles(const Call& call);
void check_positions(const Call& call, const Dims& dims);
void check_overlap(const Call& call);

// A read tensor is where q is, and shows its values as they are stored.
void check_place(const Call& call, const char* name, const at::Tensor& tensor);
void check_resolved(const char* op, const char* name, const at::Tensor& tensor);

// A data type as Python prints it: "float32".
inline auto name_of(at::ScalarType dtype) {
  return c10::getDtypeNames(dtype).first;
}

}  // namespace rope::glue
