// How kernel code reaches memory: a policy passed in, so that a GPU, a CPU and a test that checks
// and records every access run the same index arithmetic. This is the CPU's; cuda/memory.h has the
// device's. A Memory has
//   T read(const T*)                        positions, offsets, tables: never written by the call
//   uint64_t turns(const Frequencies&, i)   word i of the frequencies, wherever they lie
//   Vector<n> load(const void*)             data that is rotated, possibly in place
//   void store(void*, const Vector<n>&)
#pragma once

#include <cstdint>

#include <rope/params.h>

#include "vector.h"

namespace rope {
inline namespace ROPE_TARGET {

struct HostMemory {
  template <class T>
  T read(const T* address) const {
    return *address;
  }
  uint64_t turns(const Frequencies& frequencies, int64_t i) const { return frequencies.turns[i]; }
};

}  // namespace ROPE_TARGET
}  // namespace rope
