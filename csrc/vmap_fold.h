// Many calls of a rotating op, one for each example that torch.func.vmap maps over, as one call
// with a larger batch. For vmap.cpp.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/SymInt.h>

#include <array>
#include <optional>

#include <rope/rope.h>

#include "mapped.h"

namespace rope::glue {

// The tensors of a call.
enum Slot : size_t {
  kQ,  // or x, or qkv
  kK,
  kPos,
  kInvFreq,
  kCosSin,
  kCos,
  kSin,
  kOffsets,
  kCuSeqlens,
  kNumSlots
};

using MappedCall = std::array<Mapped, kNumSlots>;
using Tensors = std::array<OptionalTensor, kNumSlots>;

// One call for all examples.
struct Folded {
  Tensors tensors;
  Options options;     // without its tensors
  int64_t batch;       // the batch dimension of its rotated tensors, with the examples in it
  bool is_only_batch;  // which was not there before: the examples are all of it
};

// How examples can share a call, or nothing: where frequencies, a table by position or cu_seqlens
// differ between them or restart positions, or where is_written and the memory of q or k does not
// allow to see it so. q and, where given, k are mapped. options are without tensors.
std::optional<Folded> fold(const MappedCall& call, const Options& options,
                           const c10::SymInt& examples, bool is_written);

// A rotated tensor of a folded call, with the examples as its first dimension.
at::Tensor unfold(const Folded& folded, const at::Tensor& result, const c10::SymInt& examples);

}  // namespace rope::glue
