// What the schemes are made of: checks of their arguments, powers of the base in double-double, a
// ramp, and the one rounding at the end. For the sources of this folder alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rope/schedules.h>

#include "../double_double.h"

namespace rope::schedules {

using double_double::DoubleDouble;
using double_double::Scaled;

// The shortest decimal that reads back as the value, in any locale.
std::string text_of(double value);

[[noreturn]] void refuse(const char* scheme, const std::string& rule, const std::string& value);

// All of them throw as <rope/schedules.h> says.
void check_dim(const char* scheme, const std::string& name, int64_t dim);
void check_positive(const char* scheme, const std::string& name, double value);
void check_dim_and_base(const char* scheme, int64_t dim, double base);

// base^(−2i/denominator) for i = 0 … count − 1, where 2 (count − 1) ≤ denominator, within 2^-100 of
// itself.
std::vector<Scaled> powers(DoubleDouble base, int64_t count, int64_t denominator);

// 0 up to low, 1 from high on, a straight line between; where low is high, a step behind them.
// x may be infinite.
DoubleDouble ramp(DoubleDouble x, DoubleDouble low, DoubleDouble high);

// One axis, attention_factor 1.
Schedule rounded(const char* scheme, const std::vector<Scaled>& frequencies);

}  // namespace rope::schedules
