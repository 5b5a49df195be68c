// The command line.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>

struct Arguments {
  bool help = false;
  std::filesystem::path folder;
  std::optional<std::string> prompt;
  std::optional<int64_t> num_tokens;
  std::optional<c10::Device> device;
};

extern const char* const kHelp;

// what() is a sentence for the user.
struct UsageError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

Arguments parse(int argc, char** argv);
