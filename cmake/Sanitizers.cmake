# ROPE_SANITIZE: what a whole build is watched by. Presets asan, asan-python, tsan and fuzz set it.
#   ON      AddressSanitizer and UndefinedBehaviorSanitizer
#   THREAD  ThreadSanitizer; the tests' own threads, since no OpenMP runtime is instrumented
#   FUZZ    as ON, for libFuzzer, which clang has: adds the programs of tests/fuzz
set(ROPE_SANITIZE OFF CACHE STRING "Sanitizers: OFF, ON (addresses, undefined), THREAD or FUZZ")
set_property(CACHE ROPE_SANITIZE PROPERTY STRINGS OFF ON THREAD FUZZ)

if(ROPE_SANITIZE STREQUAL "THREAD")
  set(rope_sanitizers thread)
elseif(ROPE_SANITIZE STREQUAL "FUZZ")
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "rope: ROPE_SANITIZE=FUZZ needs clang: set CMAKE_CXX_COMPILER")
  endif()
  set(rope_sanitizers address,undefined,float-cast-overflow,fuzzer-no-link)
  add_compile_options(-Wno-unknown-warning-option)
elseif(ROPE_SANITIZE)
  set(rope_sanitizers address,undefined,float-cast-overflow)
endif()

if(ROPE_SANITIZE)
  # Instrumented code hides from g++ that a value is used only where it was set, in its own
  # intrinsics too.
  add_compile_options(-fsanitize=${rope_sanitizers} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer -g1 -O1 -Wno-maybe-uninitialized -Wno-uninitialized)
  add_link_options(-fsanitize=${rope_sanitizers})
endif()
