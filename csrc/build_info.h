// What this build of the library is: for module.cpp, for the texts of errors and for tests.
#pragma once

#include <cstdint>
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

// The architecture that a build's code for a GPU (90 for sm_90) was compiled for, be it machine
// code or PTX; 0 where there is none.
int32_t image_of(const BuildInfo& build, int32_t architecture);
bool serves(const BuildInfo& build, int32_t architecture);

}  // namespace rope::glue
