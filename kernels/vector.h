// A lane's vector of 32, 16, 8, 4 or 2 bytes, as the 32-bit words that loads and stores move, and
// its elements as floats. For thread.h and the Memory policies.
#pragma once

#include <cstdint>

#include "scalar.h"

namespace rope {

template <int kBytes>
struct alignas(kBytes) Vector {
  uint32_t words[kBytes / 4];
};

template <>
struct alignas(2) Vector<2> {
  uint16_t half_word;
};

inline namespace ROPE_TARGET {

template <class Scalar>
ROPE_HOST_DEVICE Scalar low_half(uint32_t word) {
  return {static_cast<uint16_t>(word)};
}

template <class Scalar>
ROPE_HOST_DEVICE Scalar high_half(uint32_t word) {
  return {static_cast<uint16_t>(word >> 16)};
}

// bfloat16 is the upper half of a float: no conversion, one bit operation.
ROPE_HOST_DEVICE float high_to_float(uint32_t word, BFloat16) {
  return bit_cast<float>(word & 0xffff0000u);
}
ROPE_HOST_DEVICE float high_to_float(uint32_t word, Half) {
  return to_float(high_half<Half>(word));
}

// Two results rounded and put into one word; one instruction on the device.
template <class Scalar>
ROPE_HOST_DEVICE uint32_t pack(float low, float high) {
#if defined(__CUDA_ARCH__)
  uint32_t word;
  if constexpr (kDtypeOf<Scalar> == Dtype::kBFloat16) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  }
  return word;
#else
  return from_float<Scalar>(low).bits | static_cast<uint32_t>(from_float<Scalar>(high).bits) << 16;
#endif
}

template <class Scalar, int kBytes>
ROPE_HOST_DEVICE void widen(const Vector<kBytes>& vector, float* elements) {
  if constexpr (kBytes == 2) {
    elements[0] = to_float(Scalar{vector.half_word});
  } else {
    ROPE_UNROLL
    for (int i = 0; i < kBytes / 4; ++i) {
      const uint32_t word = vector.words[i];
      if constexpr (sizeof(Scalar) == 4) {
        elements[i] = bit_cast<float>(word);
      } else {
        elements[2 * i] = to_float(low_half<Scalar>(word));
        elements[2 * i + 1] = high_to_float(word, Scalar{});
      }
    }
  }
}

template <class Scalar, int kBytes>
ROPE_HOST_DEVICE void narrow(const float* elements, Vector<kBytes>& vector) {
  if constexpr (kBytes == 2) {
    vector.half_word = from_float<Scalar>(elements[0]).bits;
  } else {
    ROPE_UNROLL
    for (int i = 0; i < kBytes / 4; ++i) {
      if constexpr (sizeof(Scalar) == 4) {
        vector.words[i] = bit_cast<uint32_t>(elements[i]);
      } else {
        vector.words[i] = pack<Scalar>(elements[2 * i], elements[2 * i + 1]);
      }
    }
  }
}

}  // namespace ROPE_TARGET
}  // namespace rope
