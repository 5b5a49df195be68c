// What this build of the library is, from what CMake defines for this file.
#include "build_info.h"

#include <rope/version.h>
#include <torch/version.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <sstream>

namespace rope::glue {

int32_t image_of(const BuildInfo& build, int32_t architecture) {
  // 90 of "sm_90"; 0 of what CMake was told in words, "native", which is taken to fit.
  const auto number_of = [](const std::string& name) {
    return std::atoi(name.c_str() + name.find('_') + 1);
  };
  // "sm_90a" is for that one alone.
  const auto is_for_one = [](const std::string& name) { return std::isalpha(name.back()) != 0; };
  int32_t newest = 0;
  for (const std::string& name : build.architectures) {
    const int32_t built = number_of(name);
    const bool is_same_family = built / 10 == architecture / 10 && built <= architecture;
    if (built == 0 || built == architecture) return architecture;
    if (is_same_family && !is_for_one(name)) newest = std::max(newest, built);
  }
  if (newest != 0 || !build.ptx) return newest;
  const int32_t oldest = number_of(*build.ptx);
  const bool fits = oldest == architecture || (oldest < architecture && !is_for_one(*build.ptx));
  return fits ? oldest : 0;
}

bool serves(const BuildInfo& build, int32_t architecture) {
  return image_of(build, architecture) != 0;
}

BuildInfo build_info() {
  BuildInfo info;
  info.version = ROPE_VERSION_STRING;
  info.torch = TORCH_VERSION;
  if (std::string(ROPE_CUDA_VERSION).empty()) return info;
  info.cuda = ROPE_CUDA_VERSION;
  // By age, as CMake writes them: "80-real 120", where only 120 comes with PTX.
  std::istringstream entries(ROPE_CUDA_ARCHITECTURES);
  for (std::string entry; entries >> entry;) {
    const std::string number = entry.substr(0, entry.find('-'));
    if (entry.find("-virtual") == std::string::npos) info.architectures.push_back("sm_" + number);
    if (entry.find("-real") == std::string::npos) info.ptx = "compute_" + number;
  }
  return info;
}

}  // namespace rope::glue
