// The floating-point mode of the calling thread while the kernels run: to nearest, subnormals kept.
// A thread may have another one (torch.set_flush_denormal, fesetround); results must not depend on
// it. For select.cpp.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace rope {

#if defined(__x86_64__)
// MXCSR: flush to zero, denormals are zero, the rounding direction.
using FloatMode = uint32_t;
constexpr FloatMode kOtherModes = 0x8000u | 0x0040u | 0x6000u;
inline FloatMode float_mode() {
  return _mm_getcsr();
}
inline void set_float_mode(FloatMode mode) {
  _mm_setcsr(mode);
}
#elif defined(__aarch64__)
// FPCR: FZ, FZ16, the rounding direction.
using FloatMode = uint64_t;
constexpr FloatMode kOtherModes = (uint64_t{1} << 24) | (uint64_t{1} << 19) | (uint64_t{3} << 22);
inline FloatMode float_mode() {
  FloatMode mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
inline void set_float_mode(FloatMode mode) {
  asm volatile("msr fpcr, %0" : : "r"(mode) : "memory");
}
#else
using FloatMode = uint32_t;
constexpr FloatMode kOtherModes = 0;
inline FloatMode float_mode() {
  return 0;
}
inline void set_float_mode(FloatMode) {}
#endif

// In force from its construction to its end. The calls between must be opaque to the compiler,
// which knows nothing of modes: the backends' are, through pointers to other files' functions.
class IeeeFloatMode {
 public:
  IeeeFloatMode() : before_(float_mode()) {
    if ((before_ & kOtherModes) != 0) set_float_mode(before_ & ~kOtherModes);
  }
  ~IeeeFloatMode() {
    if ((before_ & kOtherModes) != 0) set_float_mode(before_);
  }
  IeeeFloatMode(const IeeeFloatMode&) = delete;
  IeeeFloatMode& operator=(const IeeeFloatMode&) = delete;

 private:
  FloatMode before_;
};

}  // namespace rope
