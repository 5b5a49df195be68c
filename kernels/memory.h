// How kernel code reaches memory: a policy passed in, so that a GPU, a CPU and a test that checks
// and records every access run the same index arithmetic. This is the CPU's; cuda/memory.h has the
// device's. A Memory has
//   T read(const T*)                        positions, offsets, tables: never written by the call
//   uint64_t turns(const Frequencies&, i)   word i of the frequencies, wherever they lie
//   void turns<n>(const Frequencies&, i, uint64_t*)   n of them from word i on, n even
//   Vector<n> load<n>(const void*)          data that is rotated, possibly in place
//   void store<n>(void*, const Vector<n>&)
//   void wait_for_earlier_work()            before the first read of any of this
//   void let_later_work_start()             when a thread has asked for all it rotates
// of which the CPU's own traversal needs the first two.
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
