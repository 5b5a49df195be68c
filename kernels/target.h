// Where a function may run, and which copy of it a translation unit gets.
// For every header of kernels/ that both a CPU and a GPU compiler, or several instruction sets,
// read.
#pragma once

// Host and device, always inlined on the device; plain inline for a host compiler.
#if defined(__CUDACC__)
#define ROPE_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define ROPE_HOST_DEVICE inline
#endif

// Before a loop whose trip count is a constant: arrays it indexes can then stay in registers.
#if defined(__CUDACC__)
#define ROPE_UNROLL _Pragma("unroll")
#else
#define ROPE_UNROLL _Pragma("GCC unroll 16")
#endif

// Inline functions live in a namespace named after the instruction set they are compiled for: the
// linker keeps one copy of an inline function, and must not keep an AVX-512 one for every caller.
#ifndef ROPE_TARGET
#define ROPE_TARGET baseline
#endif
