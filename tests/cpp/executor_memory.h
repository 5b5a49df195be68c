// The executor's Memory policy (kernels/memory.h says what one is): every access is checked for
// alignment and against the bytes that the call may touch, and is not performed where it fails.
// An observer may listen to all of them: what a model of memory traffic needs. For the executor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include <rope/params.h>

#include "block.h"
#include "thread.h"
#include "vector.h"

namespace rope::test {

enum class AccessKind { kRead, kLoad, kStore };

struct Access {
  AccessKind kind;
  const void* address;
  size_t bytes;
  Coordinate by;  // the thread
};

enum class Fault { kMisaligned, kOutside, kStoredTwice };

struct Violation {
  Fault fault;
  Access access;
  std::string text;
};

class Checker {
 public:
  explicit Checker(std::vector<Block>& blocks) : blocks_(blocks) {}

  // Called with every access that is performed.
  std::function<void(const Access&)> observer;
  Coordinate thread = {};

  const std::vector<Violation>& violations() const { return violations_; }

  bool found(Fault fault) const {
    for (const Violation& violation : violations_) {
      if (violation.fault == fault) return true;
    }
    return false;
  }

  // True if the access may be performed.
  bool check(AccessKind kind, const void* address, size_t bytes, size_t alignment) {
    const Access access = {kind, address, bytes, thread};
    if (reinterpret_cast<uintptr_t>(address) % alignment != 0) {
      report(Fault::kMisaligned, access, "at a bad address");
      return false;
    }
    Block* const block = block_of(address);
    const uint8_t needed = kind == AccessKind::kStore ? kMayWrite : kMayRead;
    if (block == nullptr || !block->allows(address, bytes, needed)) {
      report(Fault::kOutside, access, block == nullptr ? "of no block" : "of " + block->name());
      return false;
    }
    if (kind == AccessKind::kStore && block->count_store(address, bytes) > 1) {
      report(Fault::kStoredTwice, access, "of " + block->name());
    }
    if (observer) observer(access);
    return true;
  }

 private:
  Block* block_of(const void* address) const {
    for (Block& block : blocks_) {
      if (block.contains(address)) return &block;
    }
    return nullptr;
  }

  void report(Fault fault, const Access& access, const std::string& where) {
    constexpr size_t kMost = 1000;
    if (violations_.size() == kMost) return;
    constexpr const char* kKinds[] = {"read", "load", "store"};
    constexpr const char* kFaults[] = {" is misaligned, ", " is not allowed, ", " is the second, "};
    std::ostringstream text;
    text << kKinds[static_cast<int>(access.kind)] << " of " << access.bytes << " bytes"
         << kFaults[static_cast<int>(fault)] << where << ", by thread (" << thread.thread.x << ", "
         << thread.thread.y << ", " << thread.thread.z << ") of block (" << thread.block.x << ", "
         << thread.block.y << ", " << thread.block.z << ")";
    violations_.push_back({fault, access, text.str()});
  }

  std::vector<Block>& blocks_;
  std::vector<Violation> violations_;
};

struct CheckedMemory {
  Checker* checker;

  void begin(const Coordinate& at) const { checker->thread = at; }

  template <class T>
  T read(const T* address) const {
    T value = {};
    if (checker->check(AccessKind::kRead, address, sizeof(T), alignof(T))) {
      std::memcpy(&value, address, sizeof(T));
    }
    return value;
  }

  uint64_t turns(const Frequencies& frequencies, int64_t i) const {
    return read(frequencies.turns + i);
  }

  template <int kCount>
  void turns(const Frequencies& frequencies, int64_t first, uint64_t* words) const {
    for (int i = 0; i < kCount; ++i) words[i] = turns(frequencies, first + i);
  }

  void wait_for_earlier_work() const {}
  void let_later_work_start() const {}

  template <int kBytes>
  Vector<kBytes> load(const void* address) const {
    Vector<kBytes> vector = {};
    if (checker->check(AccessKind::kLoad, address, kBytes, kBytes)) {
      std::memcpy(&vector, address, kBytes);
    }
    return vector;
  }

  template <int kBytes>
  void store(void* address, const Vector<kBytes>& vector) const {
    if (checker->check(AccessKind::kStore, address, kBytes, kBytes)) {
      std::memcpy(address, &vector, kBytes);
    }
  }
};

}  // namespace rope::test
