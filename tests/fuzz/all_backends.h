// Every CPU backend that this processor runs, asked for once: the question takes longer than most
// calls. For rotation_fuzz.cpp and table_fuzz.cpp.
#pragma once

#include <vector>

#include "cpu/backend.h"

namespace rope::fuzz {

inline const std::vector<const Backend*>& all_backends() {
  static const std::vector<const Backend*> found = [] {
    std::vector<const Backend*> backends;
    for (const char* name : {"baseline", "x86-64-v3", "x86-64-v4", "neon"}) {
      if (use_backend(name)) backends.push_back(&backend());
    }
    use_backend(nullptr);
    return backends;
  }();
  return found;
}

}  // namespace rope::fuzz
