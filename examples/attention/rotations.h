// The rotation alone, against float64: types, gradient, schedules, cached table.
#pragma once

#include <c10/core/Device.h>

#include "report.h"

void check_rotations(Report& report, c10::Device device);
