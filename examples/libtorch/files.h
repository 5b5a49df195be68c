// What export_decoder.py has written with torch.save, read without Python.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

// What the model has chosen in Python, and its logits there.
struct Expected {
  std::vector<int64_t> tokens;  // the prompt, then those chosen
  int64_t prompt_length = 0;
  at::Tensor logits;  // (tokens − 1, vocabulary), float64: what follows each token but the last
  double tolerance = 0;  // the most by which other logits of the model may differ
};

constexpr const char* kDamaged = ": not written by export_decoder.py, or damaged";

// All three throw std::runtime_error with a sentence where a file is missing or is another.
void require_file(const std::filesystem::path& path);
std::unordered_map<std::string, at::Tensor> read_weights(const std::filesystem::path& path);
Expected read_expected(const std::filesystem::path& path);
