// One allocation of a call: exactly as large as what it holds, so that AddressSanitizer sees the
// first byte beyond, with a map of the bytes that the call may read or write. For call.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace rope::test {

constexpr uint8_t kMayRead = 1;
constexpr uint8_t kMayWrite = 2;

class Block {
 public:
  // Addresses are multiples of 256 as those of a GPU are: both get the same plan.
  static constexpr size_t kAlignment = 256;

  Block(std::string name, size_t size, bool holds_data)
      : name_(std::move(name)),
        size_(size),
        holds_data_(holds_data),
        allowed_(size),
        stores_(size),
        bytes_(allocate(size), &std::free) {}

  const std::string& name() const { return name_; }
  uint8_t* data() const { return bytes_.get(); }
  size_t size() const { return size_; }
  // Rotated data, in the call's type; anything else is positions, frequencies, a table.
  bool holds_data() const { return holds_data_; }

  bool contains(const void* address) const {
    const auto at = reinterpret_cast<uintptr_t>(address);
    const auto first = reinterpret_cast<uintptr_t>(data());
    return at >= first && at < first + size_;
  }

  void allow(const void* address, size_t bytes, uint8_t access) {
    for (size_t i = offset_of(address); bytes > 0; ++i, --bytes) allowed_.at(i) |= access;
  }
  bool allows(const void* address, size_t bytes, uint8_t access) const {
    const size_t offset = offset_of(address);
    if (bytes > size_ - offset) return false;
    const auto first = allowed_.begin() + static_cast<std::ptrdiff_t>(offset);
    return std::all_of(first, first + static_cast<std::ptrdiff_t>(bytes),
                       [=](uint8_t allowed) { return (allowed & access) == access; });
  }
  bool allows(size_t byte, uint8_t access) const { return (allowed_[byte] & access) == access; }

  // How often a byte was stored to, counted by the checked memory; the largest of those stored now.
  uint8_t count_store(const void* address, size_t bytes) {
    uint8_t most = 0;
    for (size_t i = offset_of(address); bytes > 0; ++i, --bytes)
      most = std::max(most, ++stores_[i]);
    return most;
  }
  uint8_t stores(size_t byte) const { return stores_[byte]; }

 private:
  static uint8_t* allocate(size_t size) {
    void* address = nullptr;
    if (posix_memalign(&address, kAlignment, size) != 0) throw std::bad_alloc();
    return static_cast<uint8_t*>(address);
  }
  size_t offset_of(const void* address) const {
    return static_cast<size_t>(static_cast<const uint8_t*>(address) - data());
  }

  std::string name_;
  size_t size_;
  bool holds_data_;
  std::vector<uint8_t> allowed_;
  std::vector<uint8_t> stores_;
  std::unique_ptr<uint8_t, decltype(&std::free)> bytes_;
};

}  // namespace rope::test
