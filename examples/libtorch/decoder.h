// A decoder that AOTInductor has compiled, with its weights and its KV cache.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <cstdint>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

// Thrown by Decoder::run after Ctrl-C, once catch_ctrl_c() has been called.
struct Interrupted : std::exception {
  const char* what() const noexcept override { return "interrupted"; }
};

void catch_ctrl_c();

class Decoder {
 public:
  // Reads model.pt2 and weights.pt. device: where to run, of the type that the package was compiled
  // for; by default the first of that type.
  Decoder(const std::filesystem::path& folder, const std::optional<c10::Device>& device);

  // The logits, (tokens, vocabulary), of tokens that follow those in the cache, which takes them
  // in: any number into an empty cache, then one by one.
  at::Tensor run(const std::vector<int64_t>& tokens);
  void clear() { length_ = 0; }

  c10::Device device() const { return device_; }
  c10::ScalarType dtype() const { return cache_.front().scalar_type(); }
  int64_t layers() const { return static_cast<int64_t>(cache_.size()) / 2; }
  int64_t capacity() const { return cache_.front().size(1); }
  double weight_megabytes() const;
  bool weights_are_shared();  // whether both models use the same memory for them

 private:
  using Loader = torch::inductor::AOTIModelPackageLoader;

  void give_weights(Loader& model, const std::filesystem::path& folder);

  c10::Device device_;
  std::unordered_map<std::string, at::Tensor> weights_;
  std::vector<at::Tensor> cache_;  // keys, then values of each layer: (1, capacity, heads_k, dim)
  Loader prefill_;
  Loader decode_;
  int64_t length_ = 0;
};
