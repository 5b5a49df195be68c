# Makes the targets GTest::gtest and GTest::gtest_main, from the first of these that there is:
#   an installed package · /usr/src/googletest (Debian's libgtest-dev) · ROPE_GTEST_SOURCE, an option
#   or an environment variable · the release pinned below, downloaded · one sentence of advice
set(ROPE_GTEST_SOURCE "$ENV{ROPE_GTEST_SOURCE}" CACHE PATH
    "GoogleTest's source folder, where it is not installed")
set(ROPE_GTEST_VERSION 1.14.0)
set(ROPE_GTEST_SHA256 8ad598c73ad796e0d8280b082cebd82a630d73e73cd3c70057938a6501bba5d7)

# The folder of the unpacked release, or nothing where it can't be had.
function(rope_download_googletest result)
  set(folder ${CMAKE_BINARY_DIR}/_deps)
  set(source ${folder}/googletest-${ROPE_GTEST_VERSION})
  set(archive ${source}.tar.gz)
  if(NOT EXISTS ${source}/CMakeLists.txt)
    message(STATUS "rope: downloading GoogleTest ${ROPE_GTEST_VERSION}")
    file(DOWNLOAD
      https://github.com/google/googletest/archive/refs/tags/v${ROPE_GTEST_VERSION}.tar.gz
      ${archive} STATUS status INACTIVITY_TIMEOUT 20 TIMEOUT 120)
    set(sum "")
    if(EXISTS ${archive})
      file(SHA256 ${archive} sum)
    endif()
    if(NOT status MATCHES "^0;" OR NOT sum STREQUAL ROPE_GTEST_SHA256)
      file(REMOVE ${archive})
      set(${result} "" PARENT_SCOPE)
      return()
    endif()
    file(ARCHIVE_EXTRACT INPUT ${archive} DESTINATION ${folder})
  endif()
  set(${result} ${source} PARENT_SCOPE)
endfunction()

function(rope_build_googletest source)
  message(STATUS "rope: GoogleTest from ${source}")
  set(BUILD_GMOCK OFF CACHE BOOL "" FORCE)
  set(INSTALL_GTEST OFF CACHE BOOL "" FORCE)
  add_subdirectory(${source} ${CMAKE_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)
  foreach(name gtest gtest_main)
    target_compile_options(${name} PRIVATE -w)  # our warnings are not for them
    if(NOT TARGET GTest::${name})
      add_library(GTest::${name} ALIAS ${name})
    endif()
  endforeach()
endfunction()

find_package(GTest QUIET)
if(NOT TARGET GTest::gtest_main)
  set(rope_gtest_source /usr/src/googletest)
  if(NOT EXISTS ${rope_gtest_source}/CMakeLists.txt)
    set(rope_gtest_source "${ROPE_GTEST_SOURCE}")
  endif()
  if(NOT rope_gtest_source)
    rope_download_googletest(rope_gtest_source)
  endif()
  if(NOT EXISTS "${rope_gtest_source}/CMakeLists.txt")
    message(FATAL_ERROR "rope: no GoogleTest for ROPE_TESTS=ON: install it (apt-get install "
                        "libgtest-dev) or set ROPE_GTEST_SOURCE to its source folder")
  endif()
  rope_build_googletest(${rope_gtest_source})
endif()
