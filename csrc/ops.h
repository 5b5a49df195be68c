// The shape that every backend's kernels of the rotating ops share: check, allocate,
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
// call.q is the packed tensor; call.k is ignored.
void apply_qkv(Run run, const Call& call, int64_t num_heads_q, int64_t num_heads_k);

// Kernels with the ops' own signatures; Rest are the keywords.
template <Run kRun, class Signature>
struct Apply;

template <Run kRun, class... Rest>
struct Apply<kRun, void(const at::Tensor&, const OptionalTensor&, const OptionalTensor&, Rest...)> {
  static void kernel(const at::Tensor& q, const OptionalTensor& k, const OptionalTensor& pos,
                     Rest... rest) {
    const Keywords keywords{rest...};
    apply(kRun, {"rope::apply", true, q, given(k), given(pos), keywords});
  }
};

template <Run kRun, class Signature>
struct Rotate;

template <Run kRun, class... Rest>
struct Rotate<kRun, at::Tensor(const at::Tensor&, const OptionalTensor&, Rest...)> {
  static at::Tensor kernel(const at::Tensor& x, const OptionalTensor& pos, Rest... rest) {
    const Keywords keywords{rest...};
    return rotate(kRun, {"rope::rotate", false, x, nullptr, given(pos), keywords, {"x"}});
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
    return rotate_qk(kRun, {"rope::rotate_qk", false, q, &k, given(pos), keywords});
  }
};

template <Run kRun, class Signature>
struct ApplyQkv;

template <Run kRun, class... Rest>
struct ApplyQkv<kRun, void(const at::Tensor&, const OptionalTensor&, int64_t, int64_t, Rest...)> {
  static void kernel(const at::Tensor& qkv, const OptionalTensor& pos, int64_t num_heads_q,
                     int64_t num_heads_k, Rest... rest) {
    const Keywords keywords{rest...};
    apply_qkv(kRun, {"rope::apply_qkv", true, qkv, nullptr, given(pos), keywords, {"qkv"}},
              num_heads_q, num_heads_k);
  }
};

// Its keywords are its own.
template <Run kRun>
void rerotate(const at::Tensor& k, const at::Tensor& old_pos, const at::Tensor& new_pos,
              const OptionalTensor& old_inv_freq, const OptionalTensor& new_inv_freq, double base,
              double scale, int64_t rotary_dim, int64_t rotary_offset, bool interleaved,
              std::string_view layout, bool skip_negative) {
  const OptionalTensor none;
  const OptionalTensor& inv_freq = given(new_inv_freq) != nullptr ? new_inv_freq : old_inv_freq;
  const Keywords keywords{inv_freq,      none,        none,  none,   base, scale, rotary_dim,
                          rotary_offset, interleaved, false, layout, none, none,  skip_negative};
  const Origins origins{old_pos, given(old_inv_freq)};
  apply(kRun, {"rope::rerotate",
               true,
               k,
               nullptr,
               &new_pos,
               keywords,
               {"k", "new_pos", "new_inv_freq", "scale"},
               nullptr,
               &origins});
}

template <Run kRun>
void register_ops(torch::Library& m) {
  m.impl("apply", &Apply<kRun, detail::ApplySignature>::kernel);
  m.impl("rotate", &Rotate<kRun, detail::RotateSignature>::kernel);
  m.impl("rotate_qk", &RotateQk<kRun, detail::RotateQkSignature>::kernel);
  m.impl("apply_qkv", &ApplyQkv<kRun, detail::ApplyQkvSignature>::kernel);
  m.impl("rerotate", &rerotate<kRun>);
}

}  // namespace rope::glue
