// The frequency builders with arguments of any value: a schedule as promised, or
// std::invalid_argument that names the scheme, and nothing else.
#include <rope/schedules.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "input.h"

namespace rope::fuzz {
namespace {

using schedules::Schedule;

int64_t draw_dim(Input& input) {
  if (input.one_in(8)) return input.integer();
  return 2 * (input.one_in(8) ? input.between(1, 512) : input.between(1, 70));
}

std::optional<double> draw_optional(Input& input) {
  if (input.one_in(2)) return std::nullopt;
  return input.number();
}

std::vector<double> draw_factors(Input& input, int64_t dim) {
  const int64_t count = input.one_in(16) ? input.between(0, 80) : dim / 2;
  std::vector<double> factors(static_cast<size_t>(std::clamp<int64_t>(count, 0, 512)));
  const double usual = static_cast<double>(input.between(1, 64)) / 8;
  for (double& factor : factors) factor = usual;
  if (!factors.empty()) factors[factors.size() / 2] = input.number();
  return factors;
}

std::vector<int64_t> draw_counts(Input& input, int64_t most, int64_t sum) {
  std::vector<int64_t> counts;
  for (int64_t n = input.between(0, most); n > 0; --n) {
    counts.push_back(input.one_in(8) ? input.integer() : input.between(0, 40));
  }
  // One that makes the sum right, as it has to be.
  if (counts.size() == 3 && input.one_in(2)) {
    counts[0] = static_cast<int64_t>(static_cast<uint64_t>(sum) - static_cast<uint64_t>(counts[1]) -
                                     static_cast<uint64_t>(counts[2]));
  }
  return counts;
}

Schedule draw_yarn(Input& input, int64_t dim, double base) {
  const double factor = input.number();
  const double length = input.number();
  const double fast = input.one_in(2) ? 32.0 : input.number();
  const double slow = input.one_in(2) ? 1.0 : input.number();
  const std::optional<double> mscale = draw_optional(input);
  const std::optional<double> all_dim = draw_optional(input);
  const bool truncate = input.one_in(2);
  return schedules::yarn(dim, base, factor, length, fast, slow, mscale, all_dim, truncate,
                         draw_optional(input));
}

Schedule draw_longrope(Input& input, int64_t dim, double base) {
  const std::vector<double> short_factor = draw_factors(input, dim);
  const std::vector<double> long_factor = draw_factors(input, dim);
  const double length = input.number();
  const std::optional<double> most = draw_optional(input);
  const std::optional<double> factor = draw_optional(input);
  const std::optional<double> seq_len = draw_optional(input);
  return schedules::longrope(dim, base, short_factor, long_factor, length, most, factor, seq_len,
                             draw_optional(input));
}

Schedule draw_llama3(Input& input, int64_t dim, double base) {
  const double factor = input.number();
  const double low = input.number();
  const double high = input.number();
  return schedules::llama3(dim, base, factor, low, high, input.number());
}

Schedule draw_dynamic(Input& input, int64_t dim, double base) {
  const double factor = input.number();
  const double most = input.number();
  return schedules::dynamic_ntk(dim, base, factor, most, input.number());
}

Schedule draw_proportional(Input& input, int64_t dim, double base) {
  const double partial = input.one_in(2) ? 0.5 : input.number();
  return schedules::proportional(dim, base, partial, input.number());
}

Schedule draw_mrope(Input& input, int64_t dim, double base) {
  const std::vector<int64_t> sections = draw_counts(input, 3, dim / 2);
  return schedules::mrope(dim, base, sections, input.one_in(2));
}

Schedule draw_axial(Input& input, int64_t& dim, double base) {
  std::vector<int64_t> widths = draw_counts(input, 5, 0);
  for (int64_t& width : widths) {
    if (width >= 0 && width <= 40) width *= 2;
  }
  dim = 0;
  for (const int64_t width : widths) {
    dim = static_cast<int64_t>(static_cast<uint64_t>(dim) + static_cast<uint64_t>(width));
  }
  return schedules::axial(widths, base, input.one_in(2));
}

const char* const kSchemes[] = {"default", "linear",   "ntk",          "llama3", "dynamic_ntk",
                                "yarn",    "longrope", "proportional", "mrope",  "axial"};

Schedule draw_schedule(Input& input, int64_t scheme, int64_t& dim) {
  dim = draw_dim(input);
  const double base = input.one_in(2) ? 10000.0 : input.number();
  switch (scheme) {
    case 0:
      return schedules::default_(dim, base);
    case 1:
      return schedules::linear(dim, base, input.number());
    case 2:
      return schedules::ntk(dim, base, input.number());
    case 3:
      return draw_llama3(input, dim, base);
    case 4:
      return draw_dynamic(input, dim, base);
    case 5:
      return draw_yarn(input, dim, base);
    case 6:
      return draw_longrope(input, dim, base);
    case 7:
      return draw_proportional(input, dim, base);
    case 8:
      return draw_mrope(input, dim, base);
    default:
      return draw_axial(input, dim, base);
  }
}

void require_sound(const Schedule& schedule, int64_t dim) {
  require(dim >= 2 && dim <= 1024 && dim % 2 == 0, "only even widths up to 1024 are accepted");
  require(schedule.num_axes >= 1 && schedule.num_axes <= 4, "one to four axes");
  require(static_cast<int64_t>(schedule.inv_freq.size()) == schedule.num_axes * dim / 2,
          "a frequency for each axis and pair");
  for (const double frequency : schedule.inv_freq) {
    require(std::isfinite(frequency) && frequency >= 0.0, "frequencies are finite, not negative");
  }
  require(std::isfinite(schedule.attention_factor) && schedule.attention_factor > 0.0,
          "the attention factor is finite and positive");
}

void run(Input& input) {
  const int64_t scheme = input.between(0, 9);
  int64_t dim = 0;
  try {
    require_sound(draw_schedule(input, scheme, dim), dim);
  } catch (const std::invalid_argument& error) {
    const std::string text = error.what();
    const std::string start = std::string("rope::schedules::") + kSchemes[scheme] + ": ";
    const bool names_all =
        text.compare(0, start.size(), start) == 0 && text.find(", got ") != std::string::npos;
    require(names_all, (text + ": names the scheme, the rule and the value").c_str());
  }
}

}  // namespace
}  // namespace rope::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rope::fuzz::Input input(data, size);
  rope::fuzz::run(input);
  return 0;
}
