# Finds torch and makes imported targets of what programs and libraries need of it:
#   rope::torch         torch's headers, torch_cpu and c10; in a program libtorch and torch_cuda too,
#                       where they are present
#   rope::torch_python  what a Python module needs on top
# Not find_package(Torch): that one fails for a CUDA torch on a machine without the CUDA toolkit,
# and no header of CUDA's part of torch is needed. Also installed, for RopeConfig.cmake.

set(ROPE_TORCH_ADVICE "set TORCH_ROOT to the folder that holds torch's include/ and lib/, \
CMAKE_PREFIX_PATH to an unpacked LibTorch, or Python_EXECUTABLE to a Python that has torch")

# The folder of the torch that an interpreter would import, or nothing.
function(rope_torch_of_python python result)
  set(ask "import importlib.util as u; print(*u.find_spec('torch').submodule_search_locations)")
  execute_process(COMMAND ${python} -c "${ask}" OUTPUT_VARIABLE folder ERROR_QUIET
                  OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(${result} "${folder}" PARENT_SCOPE)
endfunction()

# The first of these folders that holds torch's headers, or nothing:
#   TORCH_ROOT, and where that is set nothing else · what find_package(Torch) found · an entry of
#   CMAKE_PREFIX_PATH (an unpacked LibTorch, or what torch.utils.cmake_prefix_path prints) · the
#   torch of Python_EXECUTABLE · the folders in ARGN · the torch of the python on the PATH
function(rope_torch_root result)
  set(candidates ${TORCH_ROOT})
  if(NOT TORCH_ROOT)
    if(Torch_DIR)
      list(APPEND candidates ${Torch_DIR}/../../..)
    endif()
    string(REPLACE ":" ";" from_environment "$ENV{CMAKE_PREFIX_PATH}")
    foreach(prefix IN LISTS CMAKE_PREFIX_PATH from_environment)
      list(APPEND candidates ${prefix} ${prefix}/../..)
    endforeach()
    foreach(python IN LISTS Python_EXECUTABLE Python3_EXECUTABLE)
      rope_torch_of_python(${python} found)
      list(APPEND candidates ${found})
    endforeach()
    list(APPEND candidates ${ARGN})
    find_program(python_on_path NAMES python python3 NO_CACHE)
    if(python_on_path)
      rope_torch_of_python(${python_on_path} found)
      list(APPEND candidates ${found})
    endif()
  endif()
  set(${result} "" PARENT_SCOPE)
  foreach(candidate IN LISTS candidates)
    if(EXISTS "${candidate}/include/ATen/ATen.h")
      get_filename_component(candidate "${candidate}" ABSOLUTE)
      set(${result} "${candidate}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# As in 2.15.0, from torch's headers; nothing for a torch that is too old to have that one.
function(rope_torch_version root result)
  set(header "${root}/include/torch/headeronly/version.h")
  set(numbers "")
  if(EXISTS "${header}")
    file(STRINGS "${header}" lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+")
    foreach(line IN LISTS lines)
      string(REGEX MATCH "[0-9]+$" number "${line}")
      list(APPEND numbers ${number})
    endforeach()
  endif()
  list(JOIN numbers "." version)
  set(${result} "${version}" PARENT_SCOPE)
endfunction()

# --no-as-needed: the binary that is linked names these libraries itself even where it uses none of
# their symbols. librope.so holds no path to them, so the loader finds them by that binary's.
function(rope_import_libraries target root)
  list(TRANSFORM ARGN PREPEND "${root}/lib/lib" OUTPUT_VARIABLE libraries)
  list(TRANSFORM libraries APPEND ".so")
  list(JOIN libraries "," kept)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE
    "${root}/include" "${root}/include/torch/csrc/api/include")
  target_link_libraries(${target} INTERFACE ${libraries})
  target_link_options(${target} INTERFACE
    "-Wl,--push-state,--no-as-needed,${kept},--pop-state")
endfunction()

# A program without torch_cuda could not use a GPU, and one that lacks libtorch.so, which holds
# nothing, cannot load what AOTInductor compiled; a library leaves both to the program.
# --allow-shlib-undefined: the linker would look for what torch's libraries need, and may come upon
# an older copy (of libnccl, say, in LD_LIBRARY_PATH); the loader goes by torch's own paths.
function(rope_import_torch target root)
  rope_import_libraries(${target} "${root}" torch_cpu c10)
  set(options "-Wl,--allow-shlib-undefined,--push-state,--no-as-needed")
  foreach(library torch torch_cuda)
    if(EXISTS "${root}/lib/lib${library}.so")
      string(APPEND options ",${root}/lib/lib${library}.so")
    endif()
  endforeach()
  string(APPEND options ",--pop-state")
  set(is_program "$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>")
  target_link_options(${target} INTERFACE "$<${is_program}:${options}>")
endfunction()

# For a program that uses an installed Rope: makes rope::torch, or says in problem why it cannot.
# Torch's C++ interface changes with its minor version, so that has to be the one of the build.
function(rope_use_torch built_for problem)
  set(${problem} "" PARENT_SCOPE)
  rope_torch_root(root ${ARGN})
  if(NOT root)
    set(${problem} "no torch found: ${ROPE_TORCH_ADVICE}" PARENT_SCOPE)
    return()
  endif()
  rope_torch_version("${root}" version)
  string(REGEX MATCH "^[0-9]+\\.[0-9]+" minor "${built_for}")
  if(NOT "${version}." MATCHES "^${minor}\\.")
    set(${problem} "built for torch ${built_for}, but ${root} is torch ${version}: \
build Rope for that one, or ${ROPE_TORCH_ADVICE}" PARENT_SCOPE)
    return()
  endif()
  if(NOT TARGET rope::torch)
    rope_import_torch(rope::torch "${root}")
    if(NOT Rope_FIND_QUIETLY)
      message(STATUS "rope: torch ${version} in ${root}")
    endif()
  endif()
endfunction()

# For Rope's own build; with ROPE_PYTHON, for the interpreter that find_package(Python) picks.
macro(rope_find_torch)
  if(ROPE_PYTHON)
    find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
  endif()
  rope_torch_root(ROPE_TORCH_ROOT)
  if(NOT ROPE_TORCH_ROOT)
    message(FATAL_ERROR "rope: no torch found: ${ROPE_TORCH_ADVICE}")
  endif()
  rope_torch_version("${ROPE_TORCH_ROOT}" ROPE_TORCH_VERSION)
  # Another torch in the same place is another build.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    "${ROPE_TORCH_ROOT}/include/torch/headeronly/version.h")
  message(STATUS "rope: torch ${ROPE_TORCH_VERSION} in ${ROPE_TORCH_ROOT}")
  rope_import_torch(rope::torch "${ROPE_TORCH_ROOT}")
  if(ROPE_PYTHON)
    rope_import_libraries(rope::torch_python "${ROPE_TORCH_ROOT}" torch_python)
  endif()
endmacro()
