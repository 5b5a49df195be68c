// The rotation of one pair: the only place that multiplies data by a cosine or a sine.
// For every backend; Value is a float or a vector register of them (cpu/pack_*.h).
#pragma once

#include "ieee.h"

namespace rope {
inline namespace ROPE_TARGET {

// (x, y) → (x·cos − y·sin, x·sin + y·cos), each with one rounded product and one fused step.
template <class Value>
ROPE_HOST_DEVICE void rotate(Value& x, Value& y, const Value& cos, const Value& sin) {
  const Value rotated_x = fma(x, cos, -multiply(y, sin));
  const Value rotated_y = fma(x, sin, multiply(y, cos));
  x = rotated_x;
  y = rotated_y;
}

// The same with the same roundings, for a register of adjacent pairs (x, y), (x, y), …: each x
// twice, each y twice, (cos, sin), … and (sin, cos), … give the rotated pairs in their places.
template <class Pack>
inline Pack rotate_adjacent(const Pack& x_x, const Pack& y_y, const Pack& cos_sin,
                            const Pack& sin_cos) {
  return fma_alternating(x_x, cos_sin, multiply(y_y, sin_cos));
}

}  // namespace ROPE_TARGET
}  // namespace rope
