// What an error says of a launch that failed. No torch, so that a test needs none; for cuda.cpp.
#pragma once

#include <cstdint>
#include <string>

#include "../kernels/status.h"
#include "build_info.h"

namespace rope::glue {

// The conversions to bfloat16 are instructions that older architectures lack.
constexpr int32_t kOldestArchitecture = 80;

// "built for sm_80 sm_90 and PTX of compute_120, this GPU is sm_110: ", and what to do.
inline std::string architecture_text(const BuildInfo& built, int32_t found) {
  std::string text = "built for";
  for (const std::string& architecture : built.architectures) text += " " + architecture;
  if (built.ptx) {
    if (!built.architectures.empty()) text += " and";
    text += " PTX of " + *built.ptx;
  }
  if (found == 0) return text;
  const std::string number = std::to_string(found);
  text += ", this GPU is sm_" + number;
  if (found >= kOldestArchitecture) {
    return text + ": build it with -DROPE_CUDA_ARCHITECTURES=" + number + "-real";
  }
  return text + ": the kernels need sm_" + std::to_string(kOldestArchitecture) + " or newer";
}

// "built with CUDA 13.0.88, this driver serves CUDA 12.8: install a newer one"; found: 12080.
inline std::string driver_text(const BuildInfo& built, int32_t found) {
  const std::string text = "built with CUDA " + built.cuda.value_or("");
  if (found == 0) return text + ", but no driver is found";
  const std::string version =
      std::to_string(found / 1000) + "." + std::to_string(found % 1000 / 10);
  return text + ", this driver serves CUDA " + version + ": install a newer one";
}

// "CUDA reports cudaErrorInvalidValue (1), invalid argument"; some of its texts have a full stop.
inline std::string cuda_report(Status status) {
  const int32_t number = static_cast<int32_t>(status) - static_cast<int32_t>(Status::kCudaError);
  std::string text = status_text(status);
  if (!text.empty() && text.back() == '.') text.pop_back();
  return std::string("CUDA reports ") + cuda_error_name(status) + " (" + std::to_string(number) +
         "), " + text;
}

// A sentence's part, to follow the name of the op.
inline std::string launch_error_text(Status status, const BuildInfo& built,
                                     const FoundCuda& found) {
  if (status <= Status::kCudaError) return status_text(status);
  const std::string report = cuda_report(status);
  switch (cuda_cause(status)) {
    case CudaCause::kEarlierWork:
      return report + "; it comes from a kernel that ran earlier on this GPU, not from this call";
    case CudaCause::kArchitecture:
      return report + "; " + architecture_text(built, found.architecture);
    case CudaCause::kDriver:
      return report + "; " + driver_text(built, found.driver);
    default:
      return report;
  }
}

}  // namespace rope::glue
