// The device's Memory policy (memory.h says what one is): vector accesses, and the two halves of
// programmatic dependent launch. For kernel.cuh.
#pragma once

#include <cstdint>

#include <rope/params.h>

#include "../angles.h"
#include "../vector.h"

// Machine code for sm_90 or newer waits by itself for the kernel before it, which alone makes it
// safe to be launched while that one still runs: image_architecture asks the loaded code.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define ROPE_DEPENDENT_LAUNCH 1
#else
#define ROPE_DEPENDENT_LAUNCH 0
#endif

// ld and st of 32 bytes: PTX ISA 8.8, sm_100.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define ROPE_WIDE_VECTORS 1
#else
#define ROPE_WIDE_VECTORS 0
#endif

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

// Plain loads throughout. Not __ldg, which lets the compiler take what it reads for constant while
// the kernel runs, and move the load before the wait for the kernel that writes it.
struct DeviceMemory {
  const uint64_t* host_turns;  // in the kernel's arguments: indexed loads from constant memory

  __device__ __forceinline__ uint64_t turns(const Frequencies& frequencies, int64_t i) const {
    return frequencies.on_host ? host_turns[i] : frequencies.turns[i];
  }
  // Turns on the device are aligned to 16 bytes here (is_common).
  template <int kCount>
  __device__ __forceinline__ void turns(const Frequencies& frequencies, int64_t first,
                                        uint64_t* words) const {
    if (frequencies.on_host) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) words[i] = host_turns[first + i];
    } else {
#pragma unroll
      for (int i = 0; i < kCount; i += 2) {
        const auto two = *reinterpret_cast<const ulonglong2*>(frequencies.turns + first + i);
        words[i] = two.x;
        words[i + 1] = two.y;
      }
    }
  }

  // Through register types of their own: a struct of floats would be read one by one.
  __device__ __forceinline__ Floats<4> read(const Floats<4>* address) const {
    const float4 four = *reinterpret_cast<const float4*>(address);
    return {{four.x, four.y, four.z, four.w}};
  }
  __device__ __forceinline__ Floats<2> read(const Floats<2>* address) const {
    const float2 two = *reinterpret_cast<const float2*>(address);
    return {{two.x, two.y}};
  }
  template <class T>
  __device__ __forceinline__ T read(const T* address) const {
    return *address;
  }

  template <int kBytes>
  __device__ __forceinline__ Vector<kBytes> load(const void* address) const {
    if constexpr (kBytes == 32) {
      return load_wide(address);
    } else {
      using Type = typename Register<kBytes>::Type;
      const Type value = *static_cast<const Type*>(address);
      return bit_cast<Vector<kBytes>>(value);
    }
  }
  template <int kBytes>
  __device__ __forceinline__ void store(void* address, const Vector<kBytes>& vector) const {
    if constexpr (kBytes == 32) {
      store_wide(address, vector);
    } else {
      using Type = typename Register<kBytes>::Type;
      *static_cast<Type*>(address) = bit_cast<Type>(vector);
    }
  }

  __device__ __forceinline__ void wait_for_earlier_work() const {
#if ROPE_DEPENDENT_LAUNCH
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
  }
  __device__ __forceinline__ void let_later_work_start() const {
#if ROPE_DEPENDENT_LAUNCH
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
  }

 private:
  static __device__ __forceinline__ Vector<32> load_wide(const void* address) {
    Vector<32> vector = {};
#if ROPE_WIDE_VECTORS
    uint32_t* w = vector.words;
    asm volatile("ld.global.v8.b32 {%0, %1, %2, %3, %4, %5, %6, %7}, [%8];"
                 : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3]), "=r"(w[4]), "=r"(w[5]),
                   "=r"(w[6]), "=r"(w[7])
                 : "l"(address)
                 : "memory");
#endif
    return vector;
  }
  static __device__ __forceinline__ void store_wide(void* address, const Vector<32>& vector) {
#if ROPE_WIDE_VECTORS
    const uint32_t* w = vector.words;
    asm volatile("st.global.v8.b32 [%0], {%1, %2, %3, %4, %5, %6, %7, %8};" ::"l"(address),
                 "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3]), "r"(w[4]), "r"(w[5]), "r"(w[6]),
                 "r"(w[7])
                 : "memory");
#endif
  }
};

}  // namespace rope
