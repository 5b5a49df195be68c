// fill_table_cpu with parameters of any kind, on memory that ends with the last row asked for; and
// turns_from_frequency of any float64, against its contract.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include <rope/kernels.h>

#include "all_backends.h"
#include "input.h"

namespace rope::fuzz {
namespace {

constexpr int64_t kMostFloats = 1 << 14;

TableParams draw_table(Input& input) {
  const auto number = [&input](int64_t most) {
    return input.one_in(12) ? input.integer() : input.between(1, most);
  };
  TableParams params;
  if (input.one_in(32)) params.size = input.raw<uint16_t>();
  params.num_pairs = static_cast<int32_t>(number(input.one_in(8) ? 512 : 70));
  params.num_rows = number(40);
  params.start = input.integer();
  params.may_be_invalid = input.one_in(2);
  params.attention_factor = static_cast<float>(input.between(1, 40)) / 16.0f;
  return params;
}

bool is_sound(const TableParams& params) {
  return params.size == sizeof(TableParams) && params.num_pairs >= 1 &&
         params.num_pairs <= kMaxRotaryDim / 2 && params.num_rows >= 0 &&
         __int128{8} * params.num_pairs * params.num_rows <= kMost;
}

struct Rows {
  int64_t first;
  int64_t last;
};

// Rows of any number in memory for these alone: the table begins where nobody may write.
void fill_on_exact_memory(Input& input, TableParams params) {
  const auto pairs = static_cast<size_t>(params.num_pairs);
  std::vector<uint64_t> turns(pairs);
  input.fill(turns.data(), pairs * sizeof(uint64_t));
  if (input.one_in(2)) turns[static_cast<size_t>(input.between(0, 511)) % pairs] = kInvalidTurns;
  params.turns = turns.data();
  const Rows rows = {input.between(0, 5), params.num_rows - input.between(0, 5)};
  if (rows.first >= rows.last) return;
  const auto count = static_cast<size_t>((rows.last - rows.first) * 2 * params.num_pairs);
  const int64_t hidden = rows.first * 2 * params.num_pairs;
  const std::unique_ptr<float[]> out(new float[count]);
  params.out = reinterpret_cast<float*>(reinterpret_cast<uintptr_t>(out.get()) -
                                        static_cast<uintptr_t>(hidden) * sizeof(float));
  require(fill_table_cpu(params, rows.first, rows.last) == Status::kSuccess, "fills a table");
  const std::vector<float> expected(out.get(), out.get() + count);
  for (const Backend* one : all_backends()) {
    std::fill_n(out.get(), count, 7.0f);
    one->fill_table(params, rows.first, rows.last);
    require(std::memcmp(expected.data(), out.get(), count * sizeof(float)) == 0,
            "the same bits from every backend");
  }
  const float most = params.attention_factor * (1.0f + 0x1p-23f);
  for (const float value : expected) {
    require(std::fabs(value) <= most || (std::isnan(value) && params.may_be_invalid),
            "a cosine or sine times the factor");
  }
}

void judge_table(Input& input) {
  TableParams params = draw_table(input);
  const int64_t first = input.integer();
  const int64_t last = input.integer();
  if (!is_sound(params)) {
    const Status status = fill_table_cpu(params, 0, 1);
    return require(
        status == Status::kParamsSize || status == Status::kRotaryDim || status == Status::kExtent,
        "refused for a reason that there is");
  }
  if (params.num_rows == 0) {
    return require(fill_table_cpu(params, first, last) == Status::kSuccess, "no rows are no work");
  }
  require(fill_table_cpu(params, 0, params.num_rows) == Status::kNullPointer, "no memory");
  if (params.num_pairs * std::min<int64_t>(params.num_rows, kMostFloats) * 2 > kMostFloats) return;
  uint64_t word = 0;
  params.turns = &word;
  params.out = reinterpret_cast<float*>(&word);
  if (first < 0 || last > params.num_rows) {
    require(fill_table_cpu(params, first, last) == Status::kExtent, "rows outside are refused");
  }
  fill_on_exact_memory(input, params);
}

// The sign turns the word round; an octave more doubles it, but for a last bit and a carry.
void judge_turns(Input& input) {
  const double frequency = input.number();
  const uint64_t turns = turns_from_frequency(frequency);
  require((turns == kInvalidTurns) == !std::isfinite(frequency),
          "what is not finite, and nothing else, is invalid");
  if (!std::isfinite(frequency)) return;
  require(turns_from_frequency(-frequency) == uint64_t{0} - turns, "the sign is the word's");
  const double doubled = 2.0 * frequency;
  if (!std::isfinite(doubled)) return;
  const uint64_t difference = turns_from_frequency(doubled) - 2 * turns;
  require(difference + 1 <= 2, "twice the frequency is twice the turns, and half a bit");
}

}  // namespace
}  // namespace rope::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rope::fuzz::Input input(data, size);
  if (input.one_in(4)) {
    rope::fuzz::judge_turns(input);
  } else {
    rope::fuzz::judge_table(input);
  }
  return 0;
}
