// What the schedules refuse: a call and the message that it has to raise. For schedules_test.cpp
// and schedules_extended_test.cpp.

#pragma once

#include <rope/schedules.h>

#include <functional>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

struct Refusal {
  const char* name;
  std::function<rope::schedules::Schedule()> call;
  const char* message;  // behind "rope::schedules::"
};

inline std::string refusal_name(const testing::TestParamInfo<Refusal>& info) {
  return info.param.name;
}

inline void expect_refused(const Refusal& refusal) {
  try {
    refusal.call();
    FAIL() << "nothing was thrown";
  } catch (const std::invalid_argument& error) {
    EXPECT_EQ(std::string("rope::schedules::") + refusal.message, error.what());
  }
}
