// The batch dimension of every argument takes the examples in, before its own elements.
#include "vmap_fold.h"

#include <ATen/TensorOperators.h>

#include <string_view>
#include <utility>
#include <vector>

namespace rope::glue {
namespace {

// Where the batch is in a rotated tensor of four dimensions.
int64_t batch_dim(const Options& options) {
  return options.layout == "sbhd" ? 1 : 0;
}

// (V, B) as one dimension, V at `dim` and B behind it.
at::Tensor flattened(const at::Tensor& tensor, int64_t dim) {
  std::vector<c10::SymInt> sizes = tensor.sym_sizes().vec();
  sizes[dim] = sizes[dim] * sizes[dim + 1];
  sizes.erase(sizes.begin() + dim + 1);
  return tensor.reshape_symint(sizes);
}

// Whether flattened gives a view.
bool is_view(const at::Tensor& tensor, int64_t dim) {
  const auto sizes = tensor.sym_sizes();
  const auto strides = tensor.sym_strides();
  return sizes[dim] == 1 || sizes[dim + 1] == 1 ||
         strides[dim] == strides[dim + 1] * sizes[dim + 1];
}

class Folding {
 public:
  Folding(const MappedCall& call, const Options& options, c10::SymInt examples)
      : call_(call), examples_(std::move(examples)) {
    has_batch_ = rank(kQ) == 4;
    folded_.options = options;
    // A ragged tensor of one sequence gets a batch of such.
    if (!has_batch_) folded_.options.layout = "bshd";
    folded_.batch = batch_dim(folded_.options);
    folded_.is_only_batch = !has_batch_;
  }

  // Where an example is not what it should be, it is left to the op, which says so.
  bool is_possible(std::string_view layout) const {
    const bool is_ragged = rank(kQ) == 3 && (layout == "bshd" || layout == "thd");
    if (!has_batch_ && !is_ragged) return false;
    if (call_[kPos].is_given()) {
      const int64_t own = rank(kPos) - axis_dims();
      if (own < 1 || own > (has_batch_ ? 2 : 1)) return false;
    }
    const bool has_own_angles = call_[kInvFreq].is_mapped() || is_mapped_by_position(kCosSin) ||
                                is_mapped_by_position(kCos) || is_mapped_by_position(kSin);
    return !has_own_angles && !call_[kCuSeqlens].is_given();
  }

  bool is_view_of(Slot slot) const {
    if (!call_[slot].is_given() || !has_batch_) return true;
    return is_view(with_examples(call_[slot], folded_.batch, examples_), folded_.batch);
  }

  Folded run() {
    fold_rotated(kQ);
    fold_rotated(kK);
    fold_positions();
    folded_.tensors[kInvFreq] = call_[kInvFreq].value;
    for (const Slot table : {kCosSin, kCos, kSin}) fold_table(table);
    fold_batch(kOffsets, {0, true, false});
    return std::move(folded_);
  }

 private:
  // What the batch is in a tensor of one example.
  struct Batch {
    int64_t dim;         // where it is, or would be
    bool is_there;       // else the tensor serves all sequences
    bool is_repeatable;  // 1 serves all sequences too
  };

  int64_t rank(Slot slot) const {
    return call_[slot].value->dim() - (call_[slot].is_mapped() ? 1 : 0);
  }

  // A row for each position serves all sequences, a row for each token has their batch.
  bool is_by_position(Slot slot) const { return rank(slot) < 3; }

  bool is_mapped_by_position(Slot slot) const {
    return call_[slot].is_mapped() && is_by_position(slot);
  }

  c10::SymInt num_sequences() const {
    if (!has_batch_) return 1;
    return with_examples(call_[kQ], folded_.batch, examples_).sym_size(folded_.batch + 1);
  }

  void fold_rotated(Slot slot) {
    if (!call_[slot].is_given()) return;
    const at::Tensor all = with_examples(call_[slot], folded_.batch, examples_);
    folded_.tensors[slot] = has_batch_ ? flattened(all, folded_.batch) : all;
  }

  // Dimensions of position axes: 1 or none.
  int64_t axis_dims() const {
    const at::Tensor* inv_freq = given(call_[kInvFreq].value);
    return inv_freq != nullptr && inv_freq->dim() > 1 && inv_freq->size(0) > 1 ? 1 : 0;
  }

  void fold_positions() {
    if (call_[kPos].is_given()) fold_batch(kPos, {axis_dims(), rank(kPos) - axis_dims() > 1, true});
  }

  void fold_table(Slot slot) {
    if (!call_[slot].is_given()) return;
    if (is_by_position(slot)) {
      folded_.tensors[slot] = call_[slot].value;
    } else {
      fold_batch(slot, {0, true, rank(slot) == 3});
    }
  }

  void fold_batch(Slot slot, const Batch& batch) {
    const Mapped& mapped = call_[slot];
    if (!mapped.is_given()) return;
    if (!mapped.is_mapped() &&
        (!batch.is_there || (batch.is_repeatable && mapped.value->sym_size(batch.dim) == 1))) {
      folded_.tensors[slot] = mapped.value;
      return;
    }
    at::Tensor all = with_examples(mapped, batch.dim, examples_);
    if (!batch.is_there) all = all.unsqueeze(batch.dim + 1);
    if (batch.is_repeatable && all.sym_size(batch.dim + 1) == 1) {
      std::vector<c10::SymInt> sizes = all.sym_sizes().vec();
      sizes[batch.dim + 1] = num_sequences();
      all = all.expand_symint(sizes);
    }
    folded_.tensors[slot] = flattened(all, batch.dim);
  }

  const MappedCall& call_;
  c10::SymInt examples_;
  bool has_batch_;  // in one example's rotated tensors
  Folded folded_;
};

}  // namespace

std::optional<Folded> fold(const MappedCall& call, const Options& options,
                           const c10::SymInt& examples, bool is_written) {
  Folding folding(call, options, examples);
  if (!folding.is_possible(options.layout)) return std::nullopt;
  if (is_written && !(folding.is_view_of(kQ) && folding.is_view_of(kK))) return std::nullopt;
  return folding.run();
}

at::Tensor unfold(const Folded& folded, const at::Tensor& result, const c10::SymInt& examples) {
  if (folded.is_only_batch) return result;  // whose batch comes first
  std::vector<c10::SymInt> sizes = result.sym_sizes().vec();
  sizes[folded.batch] = sizes[folded.batch] / examples;
  sizes.insert(sizes.begin() + folded.batch, examples);
  return result.view_symint(sizes).movedim(folded.batch, 0);
}

}  // namespace rope::glue
