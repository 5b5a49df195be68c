// The CPU backends that this processor runs, and a choice of one for a scope. For the tests that
// force an instruction set.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/backend.h"

namespace rope::test {

// The one that calls for nothing but the architecture.
#if defined(__aarch64__)
constexpr const char* kBaseline = "neon";
#else
constexpr const char* kBaseline = "baseline";
#endif

inline std::vector<std::string> all_backends_here() {
  std::vector<std::string> names;
  for (const char* const name : {"baseline", "x86-64-v3", "x86-64-v4", "neon"}) {
    if (use_backend(name)) names.push_back(name);
  }
  use_backend(nullptr);
  return names;
}

// A backend's name as a part of a test's.
inline std::string identifier(std::string name) {
  for (char& letter : name) letter = letter == '-' ? '_' : letter;
  return name;
}

class WithBackend {
 public:
  explicit WithBackend(const std::string& name) { EXPECT_TRUE(use_backend(name.c_str())); }
  ~WithBackend() { use_backend(nullptr); }
  WithBackend(const WithBackend&) = delete;
  WithBackend& operator=(const WithBackend&) = delete;
};

}  // namespace rope::test
