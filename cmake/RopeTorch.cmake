# Finds torch and makes imported targets of the two libraries that the operators need:
#   rope::torch         torch_cpu and c10, with torch's headers
#   rope::torch_python  what a Python module needs on top
# Not find_package(Torch): that one fails for a CUDA torch on a machine without the CUDA toolkit,
# and nothing here uses CUDA's part of torch. Also installed, for RopeConfig.cmake.

# The folder with include/ and lib/: of -DTORCH_ROOT, of an entry of CMAKE_PREFIX_PATH (an unpacked
# LibTorch, or what torch.utils.cmake_prefix_path prints), or of the Python interpreter's torch.
function(rope_torch_root result)
  set(candidates ${TORCH_ROOT})
  foreach(prefix IN LISTS CMAKE_PREFIX_PATH)
    list(APPEND candidates ${prefix} ${prefix}/../..)
  endforeach()
  if(Python_EXECUTABLE)
    execute_process(
      COMMAND ${Python_EXECUTABLE} -c
              "import importlib.util; print(*importlib.util.find_spec('torch').submodule_search_locations)"
      OUTPUT_VARIABLE from_python OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    list(APPEND candidates ${from_python})
  endif()
  foreach(candidate IN LISTS candidates)
    if(EXISTS "${candidate}/include/ATen/ATen.h")
      get_filename_component(candidate "${candidate}" REALPATH)
      set(${result} "${candidate}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "rope: no torch found: set TORCH_ROOT to the folder that holds its include/ "
                      "and lib/, CMAKE_PREFIX_PATH to an unpacked LibTorch, or Python_EXECUTABLE "
                      "to a Python that has it")
endfunction()

function(rope_import_torch target root)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  foreach(name IN LISTS ARGN)
    find_library(ROPE_${name}_LIBRARY ${name} PATHS "${root}/lib" NO_DEFAULT_PATH REQUIRED)
    mark_as_advanced(ROPE_${name}_LIBRARY)
    target_link_libraries(${target} INTERFACE "${ROPE_${name}_LIBRARY}")
  endforeach()
  target_include_directories(${target} SYSTEM INTERFACE
    "${root}/include" "${root}/include/torch/csrc/api/include")
endfunction()

# PYTHON: with torch_python, for an interpreter that find_package(Python) picks.
macro(rope_find_torch)
  if("${ARGN}" STREQUAL "PYTHON")
    find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
  endif()
  if(NOT TARGET rope::torch)
    rope_torch_root(ROPE_TORCH_ROOT)
    rope_import_torch(rope::torch "${ROPE_TORCH_ROOT}" torch_cpu c10)
    if("${ARGN}" STREQUAL "PYTHON")
      rope_import_torch(rope::torch_python "${ROPE_TORCH_ROOT}" torch_python)
    endif()
    message(STATUS "rope: torch in ${ROPE_TORCH_ROOT}")
  endif()
endmacro()
