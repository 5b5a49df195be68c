// All checks of arguments, before anything is written: the same for real, meta and fake tensors,
// with symbolic extents too. For the kernels of csrc/ and explain.
// Every broken rule throws c10::Error (RuntimeError in Python) "<op>: <rule>, got <value>".
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

// Everything that extents, strides, types, devices and addresses tell. Of values only those of
// cu_seqlens on the CPU: frequencies.h refuses frequencies that are not finite.
Geometry check(const Call& call);

// Which dimensions of q the call rotates as what. Checks the layout and q's rank.
Dims dims_of(const Call& call);

// The number of q's and k's heads in a packed tensor (call.q) with this head dimension.
void check_packed(const Call& call, const Dims& dims, int64_t num_heads_q, int64_t num_heads_k);

// What autograd asks of rope::apply: no tangents, and in grad mode nothing that requires grad.
void check_not_recorded(const at::Tensor& q, const OptionalTensor& k, const Keywords& keywords);

// What the arguments of rope::cos_sin_table and rope::turns must be.
void check_table_arguments(const at::Tensor& inv_freq, int64_t rows, double attention_factor);
void check_turns_arguments(const at::Tensor& inv_freq);

// Parts of check, in the order in which it calls them.
void check_numbers(const Call& call);
void check_heads(const Call& call, const Dims& dims);
c10::SymInt check_angles(const Call& call, const Dims& dims);
void check_positions(const Call& call, const Dims& dims);
void check_overlap(const Call& call);

// No two examples of a written tensor share memory, as vmap maps over it.
void check_examples(const char* op, const char* name, const at::Tensor& examples);

// A table is float32 or of q's type, and its extents are those of the call's tokens and heads; its
// last extent is checked against rotary_dim. For check_angles.
void check_tables(const Call& call, const Dims& dims);
void check_table_width(const Call& call, const c10::SymInt& rotary_dim);

// A read tensor is where q is, and shows its values as they are stored.
void check_place(const Call& call, const char* name, const at::Tensor& tensor);
void check_resolved(const char* op, const char* name, const at::Tensor& tensor);

// How many position axes the frequencies have.
int64_t num_axes_of(const at::Tensor* inv_freq);

// What errors call the heads of call.q, which are not all of a packed tensor's.
const char* name_of_heads(const Call& call);

// Whether q or k is a part of a packed tensor that has no heads, with which none need agree.
bool is_empty_part(const Call& call, const Dims& dims, const at::Tensor& part);

// Whether the call's table has a row for each token, instead of one for each position.
bool is_per_token(const Call& call);

// A data type as Python prints it: "float32".
inline auto name_of(at::ScalarType dtype) {
  return c10::getDtypeNames(dtype).first;
}

}  // namespace rope::glue
