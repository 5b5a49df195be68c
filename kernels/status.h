// What lies behind an error of CUDA's, in words and in facts about the machine: for validate.cpp
// and the texts of csrc/. No CUDA header: launcher.cpp answers, absent.cpp in a build without CUDA.
#pragma once

#include <cstdint>

#include <rope/kernels.h>

namespace rope {

enum class CudaCause {
  kCall,          // the call itself, as far as CUDA can tell
  kEarlierWork,   // a kernel that ran before; CUDA tells whoever calls next
  kArchitecture,  // no code for this GPU in this library, nor PTX that its driver compiles
  kDriver,        // a driver that is older than the CUDA runtime in this library
};

// Both of a status beyond kCudaError.
CudaCause cuda_cause(Status status) noexcept;
const char* cuda_error_text(Status status) noexcept;

struct FoundCuda {
  int32_t architecture = 0;  // of the current device: 90 for sm_90
  int32_t driver = 0;        // the newest CUDA that the driver serves: 13000 for 13.0
};

// What can be learned, even after an error, without synchronising; 0 for the rest.
FoundCuda found_cuda() noexcept;

}  // namespace rope
