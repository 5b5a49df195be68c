// The shape that every backend's kernels of apply, rotate and rotate_qk share: check, allocate,
// run. For cpu.cpp, cuda.cpp, meta.cpp and negative.cpp.
#pragma once

#include <torch/library.h>

#include <tuple>

#include <rope/rope.h>

#include "call.h"
#include "lower.h"

namespace rope::glue {

// What a backend does with a call that has passed the checks.
using Run = void (*)(const Call& call, const Geometry& geometry, const Outputs& outputs);

void apply(Run run, const Call& call);
at::Tensor rotate(Run run, const Call& call);
std::tuple<at::Tensor, at::Tensor> rotate_qk(Run run, const Call& call);

// Kernels with the ops' own signatures; Rest are the keywords.
template <Run kRun, class Signature>
struct Apply;

template <Run kRun, class... Rest>
struct Apply<kRun, void(const at::Tensor&, const OptionalTensor&, const OptionalTensor&, Rest...)> {
  static void kernel(const at::Tensor& q, const OptionalTensor& k, const OptionalTensor& pos,
                     Rest... rest) {
    const Keywords keywords{rest...};
    apply(kRun, {"rope::apply", "q", true, q, given(k), given(pos), keywords});
  }
};

template <Run kRun, class Signature>
struct Rotate;

template <Run kRun, class... Rest>
struct Rotate<kRun, at::Tensor(const at::Tensor&, const OptionalTensor&, Rest...)> {
  static at::Tensor kernel(const at::Tensor& x, const OptionalTensor& pos, Rest... rest) {
    const Keywords keywords{rest...};
    return rotate(kRun, {"rope::rotate", "x", false, x, nullptr, given(pos), keywords});
  }
};

template <Run kRun, class Signature>
struct RotateQk;

template <Run kRun, class... Rest>
struct RotateQk<kRun, std::tuple<at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&,
                                                         const OptionalTensor&, Rest...)> {
  static std::tuple<at::Tensor, at::Tensor> kernel(const at::Tensor& q, const at::Tensor& k,
                                                   const OptionalTensor& pos, Rest... rest) {
    const Keywords keywords{rest...};
    return rotate_qk(kRun, {"rope::rotate_qk", "q", false, q, &k, given(pos), keywords});
  }
};

template <Run kRun>
void register_ops(torch::Library& m) {
  m.impl("apply", &Apply<kRun, detail::ApplySignature>::kernel);
  m.impl("rotate", &Rotate<kRun, detail::RotateSignature>::kernel);
  m.impl("rotate_qk", &RotateQk<kRun, detail::RotateQkSignature>::kernel);
}

}  // namespace rope::glue
