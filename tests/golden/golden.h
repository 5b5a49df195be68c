// What calls, tables and frequencies must come to on every machine, as the hashes in hashes.inc.
// For the tests of same bits and for program.cpp, so without GoogleTest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rope/kernels.h>

#include "../cpp/call.h"

namespace rope::test {

// FNV-1a with 64 bits: Fowler, Noll and Vo (1991).
class Hash {
 public:
  // The lowest bytes of value, the least significant first.
  void add(uint64_t value, int64_t bytes) {
    for (int64_t i = 0; i < bytes; ++i) {
      value_ = (value_ ^ (value >> (8 * i) & 0xff)) * 0x100000001b3;
    }
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325;
};

// Of the rotated components where the call leaves them, each NaN as 0x7fff or 0x7fffffff: q, then
// k, by batch, token, head and component. Depends on content_of the case alone.
uint64_t hash_of(const Call& call);

// The contents of the corpus, each once: what has a hash under its name.
std::vector<Case> golden_cases();

// A cached table; the last of several frequencies is not a number.
struct TableCase {
  int32_t num_pairs;
  int64_t start;
};

constexpr int64_t kTableRows = 64;

std::vector<TableCase> table_cases();
std::string name_of(const TableCase& spec);
std::vector<uint64_t> turns_of_table(const TableCase& spec);
// All but the addresses: turns and out.
TableParams table_params(const TableCase& spec);
uint64_t hash_of(const std::vector<float>& values);

// Frequencies by bit pattern, any of them, which have their turns hashed as "turns_f32" and
// "turns_f64".
std::vector<float> float32_frequencies();
std::vector<double> float64_frequencies();
uint64_t hash_of(const std::vector<uint64_t>& words);

struct Golden {
  const char* name;
  uint64_t hash;
};

const std::vector<Golden>& golden_hashes();

// Says how a hash differs from the committed one, or nothing.
std::string complaint_about(const std::string& name, uint64_t hash);

}  // namespace rope::test
