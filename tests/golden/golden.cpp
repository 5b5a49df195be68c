// The lists of what has a hash, and how it is hashed.
#include "golden.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <set>

#include "../cpp/call_parts.h"
#include "../cpp/formats.h"
#include "../cpp/stream.h"

namespace rope::test {
namespace {

constexpr size_t kFrequencies = 4096;

void add_number(Hash& hash, Dtype dtype, const void* element) {
  const Format format = format_of(dtype);
  const uint32_t bits = bits_at(dtype, element);
  hash.add(is_nan(format, bits) ? format.sign() - 1 : bits, size_in_bytes(dtype));
}

void add_heads(Hash& hash, const Params& params, const Heads& heads) {
  const auto* const out = static_cast<const uint8_t*>(heads.out);
  for_each_element(params, heads.num_heads, heads.out_stride, [&](int64_t index) {
    add_number(hash, params.dtype, out + index * size_in_bytes(params.dtype));
  });
}

template <class Number, class Bits>
std::vector<Number> any_numbers(uint64_t seed) {
  Stream stream(seed, Purpose::kFrequency);
  std::vector<Number> numbers(kFrequencies);
  for (Number& number : numbers) {
    const auto bits = static_cast<Bits>(stream());
    std::memcpy(&number, &bits, sizeof(bits));
  }
  return numbers;
}

}  // namespace

uint64_t hash_of(const Call& call) {
  Hash hash;
  add_heads(hash, call.params, call.params.q);
  add_heads(hash, call.params, call.params.k);
  return hash.value();
}

std::vector<Case> golden_cases() {
  std::vector<Case> cases;
  std::set<std::string> names;
  for (const Case& spec : corpus()) {
    const Case content = content_of(spec);
    if (names.insert(name_of(content)).second) cases.push_back(content);
  }
  return cases;
}

std::vector<TableCase> table_cases() {
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max() - kTableRows + 1;
  std::vector<TableCase> cases;
  for (const int32_t num_pairs : {1, 3, 16, 25, 64, 512}) {
    for (const int64_t start :
         {int64_t{0}, int64_t{-30}, int64_t{1} << 31, -(int64_t{1} << 62), kLast}) {
      cases.push_back({num_pairs, start});
    }
  }
  return cases;
}

std::string name_of(const TableCase& spec) {
  const bool negative = spec.start < 0;
  const auto start = static_cast<uint64_t>(spec.start);
  return "table_" + std::to_string(spec.num_pairs) + "_from" + (negative ? "minus" : "") +
         std::to_string(negative ? uint64_t{0} - start : start);
}

std::vector<uint64_t> turns_of_table(const TableCase& spec) {
  Stream stream(static_cast<uint64_t>(spec.num_pairs), Purpose::kTurns);
  std::vector<uint64_t> turns(static_cast<size_t>(spec.num_pairs));
  for (uint64_t& word : turns) word = stream();
  if (turns.size() > 1) turns.back() = kInvalidTurns;
  return turns;
}

TableParams table_params(const TableCase& spec) {
  TableParams params;
  params.num_pairs = spec.num_pairs;
  params.num_rows = kTableRows;
  params.start = spec.start;
  params.may_be_invalid = true;
  params.attention_factor = 1.2079441f;
  return params;
}

uint64_t hash_of(const std::vector<float>& values) {
  Hash hash;
  for (const float& value : values) add_number(hash, Dtype::kFloat32, &value);
  return hash.value();
}

std::vector<float> float32_frequencies() {
  return any_numbers<float, uint32_t>(32);
}

std::vector<double> float64_frequencies() {
  return any_numbers<double, uint64_t>(64);
}

uint64_t hash_of(const std::vector<uint64_t>& words) {
  Hash hash;
  for (const uint64_t word : words) hash.add(word, 8);
  return hash.value();
}

const std::vector<Golden>& golden_hashes() {
  static const std::vector<Golden> hashes = {
#include "hashes.inc"
  };
  return hashes;
}

std::string complaint_about(const std::string& name, uint64_t hash) {
  static const auto* const known = [] {
    auto* const map = new std::map<std::string, uint64_t>;
    for (const Golden& one : golden_hashes()) map->emplace(one.name, one.hash);
    return map;
  }();
  const auto found = known->find(name);
  if (found == known->end()) return name + " has no hash in hashes.inc";
  if (found->second == hash) return "";
  char text[80];
  std::snprintf(text, sizeof(text), " is %016" PRIx64 " instead of %016" PRIx64, hash,
                found->second);
  return name + text;
}

}  // namespace rope::test
