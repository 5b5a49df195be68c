// Every hash on every instruction set that this processor has, as a program of its own: what the
// compiler matrix (scripts/same_bits) builds with each compiler and runs. Status 1 if one differs.
// With --print: hashes.inc anew, from the code that calls for nothing but the architecture.
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "../../kernels/cpu/backend.h"
#include "golden.h"

namespace rope::test {
namespace {

struct Result {
  std::string name;
  uint64_t hash;
};

Result rotated(const Case& spec) {
  const Call call = make_call(spec);
  const Status status = run_cpu(call.params);
  return {name_of(spec), status == Status::kSuccess ? hash_of(call) : 0};
}

Result filled(const TableCase& spec) {
  const std::vector<uint64_t> turns = turns_of_table(spec);
  std::vector<float> out(static_cast<size_t>(2 * kTableRows * spec.num_pairs));
  TableParams params = table_params(spec);
  params.turns = turns.data();
  params.out = out.data();
  const Status status = fill_table_cpu(params, 0, params.num_rows);
  return {name_of(spec), status == Status::kSuccess ? hash_of(out) : 0};
}

template <class Number>
Result turned(const char* name, const std::vector<Number>& frequencies) {
  std::vector<uint64_t> turns;
  for (const Number frequency : frequencies) {
    turns.push_back(turns_from_frequency(static_cast<double>(frequency)));
  }
  return {name, hash_of(turns)};
}

std::vector<Result> results() {
  std::vector<Result> all;
  for (const Case& spec : golden_cases()) all.push_back(rotated(spec));
  for (const TableCase& spec : table_cases()) all.push_back(filled(spec));
  all.push_back(turned("turns_f32", float32_frequencies()));
  all.push_back(turned("turns_f64", float64_frequencies()));
  return all;
}

// The number of hashes that differ.
int check(const char* name) {
  const std::vector<Result> all = results();
  int wrong = 0;
  for (const Result& result : all) {
    const std::string complaint = complaint_about(result.name, result.hash);
    if (complaint.empty()) continue;
    std::printf("%s: %s\n", name, complaint.c_str());
    ++wrong;
  }
  std::printf("%s: %zu of %zu hashes\n", name, all.size() - static_cast<size_t>(wrong), all.size());
  return wrong;
}

int check_all() {
  int wrong = 0;
  for (const char* name : {"baseline", "neon", "x86-64-v3", "x86-64-v4"}) {
    if (use_backend(name)) wrong += check(name);
  }
  return wrong == 0 ? 0 : 1;
}

int print() {
  if (!use_backend("baseline") && !use_backend("neon")) return 1;
  std::printf("// Written by make same-bits ARGS=--write, and only on purpose: see golden.h.\n");
  for (const Result& result : results()) {
    std::printf("{\"%s\", 0x%016" PRIx64 "},\n", result.name.c_str(), result.hash);
  }
  return 0;
}

}  // namespace
}  // namespace rope::test

int main(int count, char** arguments) {
  const bool wants_print = count == 2 && std::strcmp(arguments[1], "--print") == 0;
  return wants_print ? rope::test::print() : rope::test::check_all();
}
