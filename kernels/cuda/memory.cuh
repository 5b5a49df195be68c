// The device's Memory policy (memory.h says what one is): vector accesses, read-only loads for what
// the call never writes. For kernel.cuh.
#pragma once

#include <cstdint>

#include <rope/params.h>

#include "../angles.h"
#include "../vector.h"

namespace rope {

template <int kBytes>
struct Register;
template <>
struct Register<16> {
  using Type = uint4;
};
template <>
struct Register<8> {
  using Type = uint2;
};
template <>
struct Register<4> {
  using Type = uint32_t;
};
template <>
struct Register<2> {
  using Type = uint16_t;
};

struct DeviceMemory {
  const uint64_t* host_turns;  // in the kernel's arguments: indexed loads from constant memory

  __device__ __forceinline__ uint64_t turns(const Frequencies& frequencies, int64_t i) const {
    return frequencies.on_host ? host_turns[i] : read(frequencies.turns + i);
  }

  __device__ __forceinline__ FourFloats read(const FourFloats* address) const {
    const float4 four = __ldg(reinterpret_cast<const float4*>(address));
    return {four.x, four.y, four.z, four.w};
  }
  __device__ __forceinline__ uint64_t read(const uint64_t* address) const {
    return __ldg(reinterpret_cast<const unsigned long long*>(address));
  }
  __device__ __forceinline__ int64_t read(const int64_t* address) const {
    return __ldg(reinterpret_cast<const long long*>(address));
  }
  template <class T>
  __device__ __forceinline__ T read(const T* address) const {
    return __ldg(address);
  }

  // Through a register type of its own: bit_cast straight from memory would read it byte by byte.
  template <int kBytes>
  __device__ __forceinline__ Vector<kBytes> load(const void* address) const {
    using Type = typename Register<kBytes>::Type;
    const Type value = *static_cast<const Type*>(address);
    return bit_cast<Vector<kBytes>>(value);
  }
  template <int kBytes>
  __device__ __forceinline__ void store(void* address, const Vector<kBytes>& vector) const {
    using Type = typename Register<kBytes>::Type;
    *static_cast<Type*>(address) = bit_cast<Type>(vector);
  }
};

}  // namespace rope
