// Where turns in host memory come from: base, or an inv_freq on the CPU.
// For the CPU kernels, for lowering, and for explain.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/SmallVector.h>

#include <cstdint>

#include <rope/params.h>

namespace rope::glue {

using Words = c10::SmallVector<uint64_t, kMaxHostTurns>;

// The num_pairs turns of base^(-i/num_pairs). The pointer is valid until the next call on the same
// thread. Throws c10::Error naming op where the schedule refuses the base.
const uint64_t* turns_of_base(const char* op, double base, int64_t num_pairs);

// The turns of a contiguous inv_freq on the CPU: its own words where they already are turns, else
// words, which it fills. Throws c10::Error at the first frequency that is not finite.
const uint64_t* turns_of_host(const char* op, const at::Tensor& inv_freq, Words& words);

// The same for float32 and float64 alone, into numel() words. Errors name op and the argument.
void make_turns(const char* op, const char* name, const at::Tensor& inv_freq, uint64_t* turns);

}  // namespace rope::glue
