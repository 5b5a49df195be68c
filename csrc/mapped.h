// An op's arguments as torch.func.vmap has them. For vmap.cpp and vmap_fold.cpp.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/functorch/BatchedTensorImpl.h>
#include <c10/core/SymInt.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "call.h"

namespace rope::glue {

// A tensor argument as vmap has it: shared between the examples, or with a dimension of them.
struct Mapped {
  OptionalTensor value;
  std::optional<int64_t> dim;

  bool is_given() const { return given(value) != nullptr; }
  bool is_mapped() const { return is_given() && dim.has_value(); }
};

// The tensor with a dimension of examples at `dim`, which repeats it where it is shared.
inline at::Tensor with_examples(const Mapped& mapped, int64_t dim, const c10::SymInt& examples) {
  if (mapped.is_mapped()) return mapped.value->movedim(*mapped.dim, dim);
  std::vector<c10::SymInt> sizes = mapped.value->sym_sizes().vec();
  sizes.insert(sizes.begin() + dim, examples);
  return mapped.value->unsqueeze(dim).expand_symint(sizes);
}

inline OptionalTensor example_of(const Mapped& mapped, int64_t index) {
  return mapped.is_mapped() ? mapped.value->select(*mapped.dim, index) : mapped.value;
}

// The innermost map that an argument takes part in, and the arguments as seen from outside it.
// While this is there, ops are dispatched to the next map or transform.
template <size_t kCount>
class Map {
 public:
  Map(const char* op, const std::array<OptionalTensor, kCount>& arguments)
      : guard_(c10::DispatchKey::FuncTorchBatched) {
    TORCH_CHECK(
        c10::impl::tls_is_dispatch_key_included(c10::DispatchKey::FuncTorchDynamicLayerBackMode),
        op, ": an argument has left the torch.func.vmap that made it");
    for (const OptionalTensor& argument : arguments) {
      if (const auto* batched = batched_of(argument)) level_ = std::max(level_, batched->level());
    }
    for (size_t i = 0; i < kCount; ++i) mapped[i] = unwrapped(arguments[i]);
  }

  // The examples are the first dimension.
  at::Tensor wrapped(const at::Tensor& value) const {
    return at::functorch::makeBatched(value, 0, level_);
  }

  std::array<Mapped, kCount> mapped;
  std::optional<c10::SymInt> examples;  // none where no argument is mapped

 private:
  static const at::functorch::BatchedTensorImpl* batched_of(const OptionalTensor& tensor) {
    return given(tensor) == nullptr ? nullptr : at::functorch::maybeGetBatchedImpl(*tensor);
  }

  Mapped unwrapped(const OptionalTensor& argument) {
    const auto* batched = batched_of(argument);
    if (batched == nullptr || batched->level() != level_) return {argument, std::nullopt};
    examples = batched->value().sym_size(batched->bdim());
    return {batched->value(), batched->bdim()};
  }

  c10::impl::ExcludeDispatchKeyGuard guard_;
  int64_t level_ = 0;  // levels count from 1
};

}  // namespace rope::glue
