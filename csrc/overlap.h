// Whether strided views share memory, decided without looking at it. Torch-free arithmetic, so that
// a test can compare it with brute force; for checks_overlap.cpp.
#pragma once

#include <cstdint>

namespace rope::glue {

// A strided array of items. Strides count items; they, extents and the address are not negative, as
// everywhere in torch.
struct View {
  int64_t address;  // of the first item, in bytes
  int64_t item_bytes;
  int64_t rank;
  const int64_t* sizes;
  const int64_t* strides;
};

enum class Overlap { kNone, kSome, kUnknown };

// Both are exact where strides nest (each exceeds the reach of all smaller ones, those of both
// views taken together), where strides are equal or 0, and wherever else a short search ends;
// kUnknown otherwise, as for a view of more than 2^60 bytes and one that begins inside it.

// Whether two different indices of the view mean the same item.
Overlap overlap_within(const View& view);

// Whether a byte belongs to both views.
Overlap overlap_between(const View& a, const View& b);

}  // namespace rope::glue
