// What tests on a GPU share: the skip where there is none, and memory with guards around it.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace rope::test {

inline void expect_cuda(cudaError_t error) {
  EXPECT_EQ(static_cast<int>(error), 0) << cudaGetErrorString(error);
}

// Why there is no GPU to run on, or nothing.
inline std::string why_no_gpu() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) return cudaGetErrorString(error);
  return count == 0 ? "no device" : "";
}

inline bool gpu_is_required() {
  const char* const value = std::getenv("ROPE_REQUIRE_CUDA");
  return value != nullptr && std::strcmp(value, "1") == 0;
}

class OnGpu : public virtual testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = why_no_gpu();
    if (reason.empty()) return;
    if (gpu_is_required()) FAIL() << "ROPE_REQUIRE_CUDA=1, but there is no GPU: " << reason;
    GTEST_SKIP() << "no GPU: " << reason;
  }
};

// Device memory between two guards: bytes that must stay as they are.
class DeviceMemoryBlock {
 public:
  explicit DeviceMemoryBlock(size_t size) : size_(size) {
    expect_cuda(cudaMalloc(&base_, size + 2 * kGuard));
    expect_cuda(cudaMemset(base_, kPattern, size + 2 * kGuard));
  }
  ~DeviceMemoryBlock() { cudaFree(base_); }
  DeviceMemoryBlock(const DeviceMemoryBlock&) = delete;
  DeviceMemoryBlock& operator=(const DeviceMemoryBlock&) = delete;

  size_t size() const { return size_; }
  // A multiple of 256, as cudaMalloc's addresses are.
  char* data() const { return static_cast<char*>(base_) + kGuard; }

  void upload(const void* from) const {
    expect_cuda(cudaMemcpy(data(), from, size_, cudaMemcpyHostToDevice));
  }
  void download(void* to) const {
    expect_cuda(cudaMemcpy(to, data(), size_, cudaMemcpyDeviceToHost));
  }
  bool guards_are_intact() const {
    std::vector<unsigned char> guards(2 * kGuard);
    expect_cuda(cudaMemcpy(guards.data(), base_, kGuard, cudaMemcpyDeviceToHost));
    expect_cuda(cudaMemcpy(guards.data() + kGuard, data() + size_, kGuard, cudaMemcpyDeviceToHost));
    return std::all_of(guards.begin(), guards.end(),
                       [](unsigned char byte) { return byte == kPattern; });
  }

 private:
  static constexpr size_t kGuard = 256;
  static constexpr int kPattern = 0xa5;

  size_t size_;
  void* base_ = nullptr;
};

}  // namespace rope::test
