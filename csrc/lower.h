// From checked arguments to Params. For the CPU and CUDA kernels and for explain.
#pragma once

#include <ATen/core/Tensor.h>

#include <rope/kernels.h>

#include "checks.h"
#include "frequencies.h"

namespace rope::glue {

// Params, and what its pointers lead to beside the arguments of the call. Not to be copied: params
// may point into words.
struct Lowered {
  Lowered() = default;
  Lowered(const Lowered&) = delete;
  Lowered& operator=(const Lowered&) = delete;

  Params params;
  at::Tensor inv_freq;  // contiguous; undefined where none is given
  at::Tensor cos;       // copies, where those given have strides of their own each
  at::Tensor sin;
  Words words;
};

// Where a call writes: q and k themselves, or their rotated copies.
struct Outputs {
  const at::Tensor& q;
  const at::Tensor* k;  // nullptr where the call has no k
};

// Parts of lower: positions are added to params' axes, angles are what is multiplied with them.
void lower_positions(const Call& call, Params& params);
void lower_angles(const Call& call, int64_t rotary_dim, Lowered& lowered);

Dtype dtype_of(at::ScalarType dtype);

// Fills lowered for real tensors. Frequencies in device memory that are not turns yet are left to
// the caller: frequencies.turns is then nullptr, on_host false. Throws c10::Error where a frequency
// in host memory is not finite.
void lower(const Call& call, const Geometry& geometry, const Outputs& outputs, Lowered& lowered);

// Copies the components that are not rotated; nothing where the call is in place.
void copy_unrotated(const Call& call, const Geometry& geometry, const Outputs& outputs);

// Throws c10::Error with the status's text unless it is kSuccess.
void require_success(const char* op, Status status);

}  // namespace rope::glue
