// One call of a rotating op: its arguments by reference, valid while the op runs.
// For the files of csrc/ only.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace rope::glue {

using OptionalTensor = std::optional<at::Tensor>;

// The keywords of the ops in the order of their schemas, so that Keywords{rest...} takes them over.
struct Keywords {
  const OptionalTensor& inv_freq;
  const OptionalTensor& cos_sin;
  const OptionalTensor& cos;
  const OptionalTensor& sin;
  double base;
  double attention_factor;
  int64_t rotary_dim;
  int64_t rotary_offset;
  bool interleaved;
  bool inverse;
  std::string_view layout;
  const OptionalTensor& offsets;
  const OptionalTensor& cu_seqlens;
  bool skip_negative;
};

// The tensor if there is one, else nullptr.
inline const at::Tensor* given(const OptionalTensor& tensor) {
  return tensor.has_value() && tensor->defined() ? &*tensor : nullptr;
}

// Whether there are values to read and addresses to compare. A meta tensor has none; a fake tensor
// says that it is on a device, but keeps its extents and strides over a meta tensor's storage.
inline bool has_memory(const at::Tensor& tensor) {
  return tensor.storage().device_type() != at::kMeta;
}

// What the arguments are called in the op's schema, and so in its errors.
struct Names {
  const char* q = "q";
  const char* pos = "pos";
  const char* inv_freq = "inv_freq";
  const char* attention_factor = "attention_factor";
};

// What a re-rotation takes away: the positions and frequencies that k was rotated with.
struct Origins {
  const at::Tensor& pos;
  const at::Tensor* inv_freq;  // nullptr: base
};

struct Call {
  const char* op;  // as errors name it: "rope::apply"
  bool in_place;   // q and k are written
  const at::Tensor& q;
  const at::Tensor* k;  // nullptr: not given, as for pos
  const at::Tensor* pos;
  const Keywords& keywords;
  Names names = {};
  const at::Tensor* packed =
      nullptr;                       // what q and k are slices of, where the op's caller sees that
  const Origins* origins = nullptr;  // of a re-rotation
};

// Where a layout keeps its dimensions; the components of a head are always the last one.
struct Dims {
  int batch;  // -1: the tensor is one sequence, without a batch dimension
  int token;
  int head;
};

}  // namespace rope::glue
