// What is written must not be read elsewhere in the same call, nor written twice.
#include <ATen/core/Tensor.h>
#include <c10/core/SymIntArrayRef.h>
#include <c10/util/Exception.h>

#include "checks.h"
#include "overlap.h"

namespace rope::glue {
namespace {

struct Argument {
  const char* name;
  const at::Tensor* tensor;  // nullptr: not given
  bool is_written = false;
};

// Where a tensor lies. Without memory, as in a fake tensor, addresses count from its storage's
// start; views are then comparable where they share a storage.
struct Place {
  const void* space;
  View view;
};

// False where extents are symbolic: then only the call with real tensors can tell.
bool locate(const Argument& argument, Place& place) {
  const at::Tensor& tensor = *argument.tensor;
  const auto sizes = c10::asIntArrayRefSlowOpt(tensor.sym_sizes());
  const auto strides = c10::asIntArrayRefSlowOpt(tensor.sym_strides());
  if (!sizes.has_value() || !strides.has_value()) return false;
  const auto item_bytes = static_cast<int64_t>(tensor.itemsize());
  place = {nullptr, {0, item_bytes, tensor.dim(), sizes->data(), strides->data()}};
  if (!has_memory(tensor)) {
    const auto offset = tensor.sym_storage_offset().maybe_as_int();
    place.space = tensor.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl();
    place.view.address = offset.value_or(0) * item_bytes;
    return offset.has_value();
  }
  // A lazily copied tensor gets its own memory when it is asked for a mutable address.
  const void* address = argument.is_written ? tensor.mutable_data_ptr() : tensor.const_data_ptr();
  place.view.address = static_cast<int64_t>(reinterpret_cast<uintptr_t>(address));
  return true;
}

void check_expanded(const char* op, const Argument& written) {
  for (int64_t d = 0; d < written.tensor->dim(); ++d) {
    const bool repeats = written.tensor->sym_strides()[d].maybe_as_int() == 0;
    TORCH_CHECK(!repeats || !TORCH_GUARD_OR_FALSE(written.tensor->sym_sizes()[d].sym_gt(1)), op,
                ": ", written.name, " is written and must not be expanded, got strides ",
                written.tensor->sym_strides());
  }
}

void check_within(const char* op, const Argument& written, const View& view) {
  const Overlap overlap = overlap_within(view);
  TORCH_CHECK(overlap == Overlap::kNone, op, ": ", written.name, " is written and must not ",
              overlap == Overlap::kSome ? "overlap itself" : "have strides that may overlap",
              ", got sizes ", written.tensor->sym_sizes(), " and strides ",
              written.tensor->sym_strides());
}

void check_between(const char* op, const Argument& written, const Place& place,
                   const Argument& other) {
  if (other.tensor == nullptr || other.tensor->device() != written.tensor->device()) return;
  Place other_place;
  if (!locate(other, other_place)) return;
  if (place.space != other_place.space) return;
  const Overlap overlap = overlap_between(place.view, other_place.view);
  TORCH_CHECK(overlap == Overlap::kNone, op, ": ", written.name,
              " is written and must not overlap ", other.name, "; ",
              overlap == Overlap::kSome ? "they share memory" : "their strides do not tell",
              "; pass a copy of one of them");
}

}  // namespace

// Of extents and strides alone: under nested maps there is no address to ask for.
void check_examples(const char* op, const char* name, const at::Tensor& examples) {
  const Argument written{name, &examples, true};
  const auto sizes = c10::asIntArrayRefSlowOpt(examples.sym_sizes());
  const auto strides = c10::asIntArrayRefSlowOpt(examples.sym_strides());
  if (!sizes.has_value() || !strides.has_value()) return check_expanded(op, written);
  check_within(op, written,
               {0, static_cast<int64_t>(examples.itemsize()), examples.dim(), sizes->data(),
                strides->data()});
}

void check_overlap(const Call& call) {
  const Keywords& keywords = call.keywords;
  // Slices of one packed tensor do not overlap each other unless it overlaps itself.
  const bool is_packed = call.packed != nullptr;
  const Argument written[] = {{call.names.q, is_packed ? call.packed : &call.q, true},
                              {"k", is_packed ? nullptr : call.k, true}};
  const Argument read[] = {
      {call.names.pos, call.pos},
      {"old_pos", call.origins == nullptr ? nullptr : &call.origins->pos},
      {"old_inv_freq", call.origins == nullptr ? nullptr : call.origins->inv_freq},
      {call.names.inv_freq, given(keywords.inv_freq)},
      {"cos_sin", given(keywords.cos_sin)},
      {"cos", given(keywords.cos)},
      {"sin", given(keywords.sin)},
      {"offsets", given(keywords.offsets)},
      {"cu_seqlens", given(keywords.cu_seqlens)}};
  for (const Argument& argument : written) {
    Place place;
    if (argument.tensor == nullptr) continue;
    if (!locate(argument, place)) {
      check_expanded(call.op, argument);
      continue;
    }
    check_within(call.op, argument, place.view);
    if (&argument == &written[0]) check_between(call.op, argument, place, written[1]);
    for (const Argument& other : read) check_between(call.op, argument, place, other);
  }
}

}  // namespace rope::glue
