// What this build of the library is: for module.cpp, for the texts of errors and for tests.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace rope::glue {

struct BuildInfo {
  std::string version;
  std::string torch;                       // the version that the library was compiled against
  std::optional<std::string> cuda;         // of the toolkit; nothing in a CPU build
  std::vector<std::string> architectures;  // "sm_90"
  std::optional<std::string> ptx;          // the newest, "compute_120"
};

BuildInfo build_info();

}  // namespace rope::glue
