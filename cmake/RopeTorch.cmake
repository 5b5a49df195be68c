# Finds torch and makes imported targets of what programs and libraries need of it:
#   rope::torch         torch's headers, torch_cpu and c10; for a program also torch_cuda, if present
#   rope::torch_python  what a Python module needs on top
# Not find_package(Torch): that one fails for a CUDA torch on a machine without the CUDA toolkit,
# and no header of CUDA's part of torch is needed. Also installed, for RopeConfig.cmake.

# The folder of the Python package torch that an interpreter would import, or nothing.
function(rope_torch_of_python python result)
  set(ask "import importlib.util as u; print(*u.find_spec('torch').submodule_search_locations)")
  execute_process(COMMAND ${python} -c "${ask}" OUTPUT_VARIABLE folder ERROR_QUIET
                  OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(${result} "${folder}" PARENT_SCOPE)
endfunction()

# The first of these folders that holds torch's include/ and lib/, or nothing:
#   TORCH_ROOT, and then nothing else · where find_package(Torch) found it · an entry of
#   CMAKE_PREFIX_PATH (an unpacked LibTorch, or what torch.utils.cmake_prefix_path prints) · the torch
#   of Python_EXECUTABLE · the folders in ARGN · the torch of the python on the PATH
function(rope_torch_root result)
  set(candidates ${TORCH_ROOT})
  if(NOT TORCH_ROOT)
    if(Torch_DIR)
      list(APPEND candidates ${Torch_DIR}/../../..)
    endif()
    string(REPLACE ":" ";" prefixes "$ENV{CMAKE_PREFIX_PATH}")
    foreach(prefix IN LISTS CMAKE_PREFIX_PATH prefixes)
      list(APPEND candidates ${prefix} ${prefix}/../..)
    endforeach()
    foreach(python IN LISTS Python_EXECUTABLE Python3_EXECUTABLE)
      rope_torch_of_python(${python} found)
      list(APPEND candidates ${found})
    endforeach()
    find_program(python NAMES python python3 NO_CACHE)
    list(APPEND candidates ${ARGN} python)
  endif()
  foreach(candidate IN LISTS candidates)
    if(candidate STREQUAL "python" AND python)  # asked last, since it takes a process
      rope_torch_of_python(${python} candidate)
    endif()
    if(EXISTS "${candidate}/include/ATen/ATen.h")
      get_filename_component(candidate "${candidate}" ABSOLUTE)
      set(${result} "${candidate}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  set(${result} "" PARENT_SCOPE)
endfunction()

# As in 2.15.0, from torch's headers.
function(rope_torch_version root result)
  file(STRINGS "${root}/include/torch/headeronly/version.h" lines REGEX "define TORCH_VERSION_[MP]")
  set(parts "")
  foreach(line IN LISTS lines)
    string(REGEX MATCH "[0-9]+$" number "${line}")
    list(APPEND parts ${number})
  endforeach()
  list(JOIN parts "." version)
  set(${result} "${version}" PARENT_SCOPE)
endfunction()

# An imported target for libraries in root/lib. Each becomes an entry of the linking binary itself
# even where it uses none of its symbols: librope.so carries no path to torch, so without that entry
# the loader would not find them.
function(rope_import_torch target root)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE
    "${root}/include" "${root}/include/torch/csrc/api/include")
  set(files "")
  foreach(name IN LISTS ARGN)
    list(APPEND files "${root}/lib/lib${name}.so")
  endforeach()
  list(JOIN files "," kept)
  target_link_libraries(${target} INTERFACE ${files})
  target_link_options(${target} INTERFACE
    "-Wl,--push-state,--no-as-needed,${kept},--pop-state")
endfunction()

# Programs get CUDA's part of torch too, without which they could not use a GPU. --allow-shlib-undefined:
# what torch's libraries need is the loader's business, which finds it by their own paths; the linker
# might look at an older copy first, for instance in LD_LIBRARY_PATH.
function(rope_link_programs target root)
  set(options -Wl,--allow-shlib-undefined)
  set(cuda "${root}/lib/libtorch_cuda.so")
  if(EXISTS "${cuda}")
    list(APPEND options "-Wl,--push-state,--no-as-needed,${cuda},--pop-state")
  endif()
  target_link_options(${target} INTERFACE
    "$<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:${options}>")
endfunction()

# Makes the targets, and sets ROPE_TORCH_ROOT and ROPE_TORCH_VERSION, or says in ROPE_TORCH_PROBLEM
# why it cannot. PYTHON: with torch_python. VERSION: the torch that the library was built for.
function(rope_import problem)
  cmake_parse_arguments(arg "PYTHON" "VERSION" "HINTS" ${ARGN})
  set(${problem} "" PARENT_SCOPE)
  if(TARGET rope::torch)
    return()
  endif()
endfunction()
