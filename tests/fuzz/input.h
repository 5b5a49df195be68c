// The fuzzer's bytes as numbers, and how a target says that a promise was broken. Behind their end
// the numbers go on at random, from a seed that the bytes give: short inputs are whole calls too.
// For the targets in this folder alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>

namespace rope::fuzz {

constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

// Ends the program where a promise does not hold: libFuzzer then keeps the bytes that led there.
inline void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : next_(data), end_(data + size) {
    for (const uint8_t* byte = data; byte < end_; ++byte) random_ = (random_ + *byte) * kMultiplier;
  }

  template <class T>
  T raw() {
    T value = {};
    auto* bytes = reinterpret_cast<uint8_t*>(&value);
    for (size_t i = 0; i < sizeof(T); ++i) bytes[i] = next_ < end_ ? *next_++ : step(random_);
    return value;
  }

  // One byte where that is enough; the last of the numbers are the rarer ones.
  int64_t between(int64_t low, int64_t high) {
    const uint64_t count = static_cast<uint64_t>(high - low) + 1;
    const uint64_t number = count <= 256 ? raw<uint8_t>() : raw<uint16_t>();
    return low + static_cast<int64_t>(number % count);
  }

  bool one_in(int64_t count) { return between(0, count - 1) == count - 1; }

  // Any 64 bits, but mostly such that arithmetic breaks on: near 0, powers of two, the ends.
  int64_t integer() {
    const int64_t kind = between(0, 4);
    if (kind == 0) return between(-8, 8);
    if (kind == 1) return raw<int32_t>();
    if (kind == 2) return raw<int64_t>();
    if (kind == 3) return one_in(2) ? kLeast + between(0, 8) : kMost - between(0, 8);
    const uint64_t power = uint64_t{1} << between(0, 63);
    const uint64_t near = power + static_cast<uint64_t>(between(-2, 2));
    return static_cast<int64_t>(one_in(2) ? uint64_t{0} - near : near);
  }

  // Any float64, but mostly one that somebody might write.
  double number() {
    const int64_t kind = between(0, 7);
    if (kind < 3) return static_cast<double>(between(0, 40)) / 8;
    if (kind < 5) return static_cast<double>(raw<uint32_t>());
    if (kind == 5) return static_cast<double>(integer());
    if (kind == 6) return raw<double>();
    const double ends[] = {
        std::numeric_limits<double>::infinity(),   std::numeric_limits<double>::quiet_NaN(),
        std::numeric_limits<double>::max(),        std::numeric_limits<double>::min(),
        std::numeric_limits<double>::denorm_min(), -0.0};
    return ends[between(0, 5)];
  }

  // Fills memory from eight bytes.
  void fill(void* memory, size_t size) {
    auto pattern = raw<uint64_t>();
    auto* bytes = static_cast<uint8_t*>(memory);
    for (size_t i = 0; i < size; ++i) bytes[i] = step(pattern);
  }

 private:
  // A linear congruential generator modulo 2^64, with the constants of Knuth's MMIX.
  static constexpr uint64_t kMultiplier = 6364136223846793005u;
  static uint8_t step(uint64_t& state) {
    state = state * kMultiplier + 1442695040888963407u;
    return static_cast<uint8_t>(state >> 56);
  }

  const uint8_t* next_;
  const uint8_t* end_;
  uint64_t random_ = 0;
};

}  // namespace rope::fuzz
