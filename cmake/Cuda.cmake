# Decides whether this build has CUDA: sets ROPE_HAS_CUDA, ROPE_CUDA_VERSION, ROPE_CUDA_FLAGS and
# ROPE_BUILT_ARCHITECTURES.
set(ROPE_HAS_CUDA OFF)
set(ROPE_CUDA_VERSION "")
set(ROPE_BUILT_ARCHITECTURES "")
if(ROPE_CUDA)  # AUTO is a true value too
  include(CheckLanguage)
  # The compiler's own check needs an architecture; the targets get theirs from the option.
  set(CMAKE_CUDA_ARCHITECTURES 90)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    set(ROPE_HAS_CUDA ON)
    set(ROPE_CUDA_VERSION ${CMAKE_CUDA_COMPILER_VERSION})
    set(ROPE_BUILT_ARCHITECTURES ${ROPE_CUDA_ARCHITECTURES})
  elseif(ROPE_CUDA STREQUAL "AUTO")
    message(STATUS "rope: no nvcc found, building for the CPU alone")
  else()
    message(FATAL_ERROR "rope: ROPE_CUDA=ON, but no nvcc is found: put it on the PATH or set CUDACXX")
  endif()
else()
  message(STATUS "rope: ROPE_CUDA=OFF, building for the CPU alone")
endif()

# Products and sums fuse where ieee.h says so and nowhere else; the compressed fat binary is about
# five times smaller.
set(ROPE_CUDA_FLAGS
  -fmad=false --compress-mode=size -Xptxas=-warn-spills,-warn-lmem-usage
  -Xcompiler=-ffp-contract=off)
if(ROPE_WERROR)
  list(APPEND ROPE_CUDA_FLAGS -Werror=all-warnings)
endif()
