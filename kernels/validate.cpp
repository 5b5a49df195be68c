// What may be relied on below: the torch-free checks of a call, and their texts.
#include <initializer_list>

#include <rope/kernels.h>

#include "plan.h"
#include "status.h"

namespace rope {
namespace {

bool is_known(Dtype dtype) {
  return dtype == Dtype::kFloat32 || dtype == Dtype::kFloat16 || dtype == Dtype::kBFloat16;
}

bool is_known(Integer type) {
  return type == Integer::kInt32 || type == Integer::kInt64;
}

bool is_known(Pairing pairing) {
  return pairing == Pairing::kSplit || pairing == Pairing::kInterleaved;
}

bool is_aligned(const void* address, int32_t size) {
  return reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(size) == 0;
}

int32_t size_of(Integer type) {
  return type == Integer::kInt32 ? 4 : 8;
}

bool fits(int64_t a, int64_t b) {
  int64_t product;
  return !__builtin_mul_overflow(a, b, &product);
}

Status validate_extents(const Params& params) {
  const int64_t heads[] = {params.q.num_heads, params.k.num_heads};
  if (params.num_batches < 0 || params.num_tokens < 0 || heads[0] < 0 || heads[1] < 0 ||
      params.num_sequences < 0 || params.table.num_rows < 0) {
    return Status::kExtent;
  }
  int64_t all_heads;
  if (__builtin_add_overflow(heads[0], heads[1], &all_heads)) return Status::kExtent;
  if (!fits(params.num_batches, params.num_tokens)) return Status::kExtent;
  if (params.num_sequences > 0 && params.num_batches > 1) return Status::kExtent;
  return Status::kSuccess;
}

Status validate_heads(const Heads& heads, Dtype dtype) {
  if (heads.num_heads == 0) return Status::kSuccess;
  if (heads.in == nullptr || heads.out == nullptr) return Status::kNullPointer;
  const bool aligned =
      is_aligned(heads.in, size_of(dtype)) && is_aligned(heads.out, size_of(dtype));
  return aligned ? Status::kSuccess : Status::kAlignment;
}

Status validate_integers(const void* data, Integer type) {
  if (!is_known(type)) return Status::kEnumeration;
  return is_aligned(data, size_of(type)) ? Status::kSuccess : Status::kAlignment;
}

Status validate_positions(const Params& params) {
  if (params.num_axes < 1 || params.num_axes > kMaxAxes) return Status::kAxes;
  for (int32_t a = 0; a < params.num_axes; ++a) {
    const Status status = validate_integers(params.axes[a].positions, params.axes[a].type);
    if (status != Status::kSuccess) return status;
  }
  for (const IntegerArray& array : {params.offsets, params.cu_seqlens}) {
    const Status status = validate_integers(array.data, array.type);
    if (status != Status::kSuccess) return status;
  }
  const bool missing = params.num_sequences > 0 && params.cu_seqlens.data == nullptr;
  return missing ? Status::kNullPointer : Status::kSuccess;
}

Status validate_angles(const Params& params) {
  const Table& table = params.table;
  if (table.cos == nullptr && params.frequencies.turns == nullptr) return Status::kNoAngles;
  if (!is_aligned(params.frequencies.turns, 8)) return Status::kAlignment;
  if (table.cos == nullptr) return Status::kSuccess;
  if (!is_known(table.dtype)) return Status::kEnumeration;
  if (table.sin == nullptr) return Status::kNullPointer;
  const int32_t size = size_of(table.dtype);
  const bool aligned = is_aligned(table.cos, size) && is_aligned(table.sin, size);
  return aligned ? Status::kSuccess : Status::kAlignment;
}

}  // namespace

bool is_empty(const Params& params) noexcept {
  return params.num_batches == 0 || params.num_tokens == 0 ||
         params.q.num_heads + params.k.num_heads == 0;
}

Status validate(const Params& params) noexcept {
  if (params.size != sizeof(Params)) return Status::kParamsSize;
  if (!is_known(params.dtype) || !is_known(params.pairing)) return Status::kEnumeration;
  const int32_t rotary_dim = params.rotary_dim;
  if (rotary_dim < 2 || rotary_dim > kMaxRotaryDim || rotary_dim % 2 != 0) {
    return Status::kRotaryDim;
  }
  Status status = validate_extents(params);
  if (status != Status::kSuccess || is_empty(params)) return status;
  for (const Heads* heads : {&params.q, &params.k}) {
    status = validate_heads(*heads, params.dtype);
    if (status != Status::kSuccess) return status;
  }
  status = validate_positions(params);
  return status == Status::kSuccess ? validate_angles(params) : status;
}

Status validate(const TableParams& params) noexcept {
  if (params.size != sizeof(TableParams)) return Status::kParamsSize;
  if (params.num_pairs < 1 || params.num_pairs > kMaxRotaryDim / 2) return Status::kRotaryDim;
  if (params.num_rows < 0 || !fits(params.num_rows, int64_t{8} * params.num_pairs)) {
    return Status::kExtent;
  }
  if (params.num_rows == 0) return Status::kSuccess;
  if (params.turns == nullptr || params.out == nullptr) return Status::kNullPointer;
  const bool aligned = is_aligned(params.turns, 8) && is_aligned(params.out, 4);
  return aligned ? Status::kSuccess : Status::kAlignment;
}

const char* status_text(Status status) noexcept {
  switch (status) {
    case Status::kSuccess:
      return "success";
    case Status::kParamsSize:
      return "the size member is not that of this library's struct: rebuild the caller";
    case Status::kRotaryDim:
      return "rotary_dim must be even and between 2 and 1024";
    case Status::kExtent:
      return "an extent is negative, a count does not fit 63 bits, a slice lies outside, or "
             "sequences are in several batches";
    case Status::kAxes:
      return "num_axes must be between 1 and 8";
    case Status::kNoAngles:
      return "neither frequencies nor a table are given";
    case Status::kNullPointer:
      return "a tensor with elements has no address";
    case Status::kHostTurns:
      return "frequencies in host memory are limited to 512 words: put them into device memory";
    case Status::kAlignment:
      return "an address is not a multiple of its element's size";
    case Status::kEnumeration:
      return "a Dtype, Pairing or Integer has no meaning";
    case Status::kNoCudaBuild:
      return "this library was built without CUDA";
    case Status::kCudaError:
      return "the CUDA runtime reported an error";
    default:
      return status > Status::kCudaError ? cuda_error_text(status) : "an unknown status";
  }
}

}  // namespace rope
