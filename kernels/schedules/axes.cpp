// The schemes of several position axes: which axis a pair counts, and with which frequency.
#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>
#include <vector>

#include "parts.h"

namespace rope::schedules {
namespace {

// As many position axes as the operators take.
constexpr std::size_t kMostAxes = 4;

// (num_axes, pairs): pair i turns with frequencies[i] along axis axis_of_pair[i] alone.
Schedule on_axes(const Schedule& frequencies, int64_t num_axes,
                 const std::vector<std::size_t>& axis_of_pair) {
  const std::size_t num_pairs = axis_of_pair.size();
  Schedule schedule;
  schedule.num_axes = num_axes;
  schedule.inv_freq.resize(static_cast<std::size_t>(num_axes) * num_pairs, 0.0);
  for (std::size_t i = 0; i < num_pairs; ++i) {
    schedule.inv_freq[axis_of_pair[i] * num_pairs + i] = frequencies.inv_freq[i];
  }
  return schedule;
}

// As default_, but a refusal names the caller's scheme.
Schedule plain(const char* scheme, int64_t dim, double base) {
  return rounded(scheme, powers(base, dim / 2, dim));
}

std::string text_of_list(const std::vector<int64_t>& values) {
  std::string text = "[";
  for (const int64_t value : values) text += (text.size() > 1 ? ", " : "") + std::to_string(value);
  return text + "]";
}

// The axis of pair i in blocks of counts[0], counts[1], … pairs.
std::vector<std::size_t> in_blocks(const std::vector<int64_t>& counts) {
  std::vector<std::size_t> axis_of_pair;
  for (std::size_t axis = 0; axis < counts.size(); ++axis) {
    axis_of_pair.insert(axis_of_pair.end(), static_cast<std::size_t>(counts[axis]), axis);
  }
  return axis_of_pair;
}

// t, h, w, t, h, w, … as long as h and w last; t takes all the rest.
std::vector<std::size_t> in_turns(const std::vector<int64_t>& sections, int64_t num_pairs) {
  std::vector<std::size_t> axis_of_pair;
  for (int64_t i = 0; i < num_pairs; ++i) {
    const auto axis = static_cast<std::size_t>(i % 3);
    axis_of_pair.push_back(i < 3 * sections[axis] ? axis : 0);
  }
  return axis_of_pair;
}

}  // namespace

Schedule mrope(int64_t dim, double base, const std::vector<int64_t>& sections, bool interleaved) {
  check_dim_and_base("mrope", dim, base);
  const int64_t num_pairs = dim / 2;
  const auto fits = [&](int64_t section) { return section >= 0 && section <= num_pairs; };
  if (sections.size() != 3 || !std::all_of(sections.begin(), sections.end(), fits) ||
      std::accumulate(sections.begin(), sections.end(), int64_t{0}) != num_pairs) {
    refuse("mrope",
           "sections must be three counts (t, h, w) that sum to dim / 2 = " +
               std::to_string(num_pairs),
           text_of_list(sections));
  }
  const std::vector<std::size_t> axes =
      interleaved ? in_turns(sections, num_pairs) : in_blocks(sections);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (std::count(axes.begin(), axes.end(), axis) == sections[axis]) continue;
    refuse("mrope",
           "interleaved sections must fit by turns of three into dim / 2 = " +
               std::to_string(num_pairs),
           text_of_list(sections));
  }
  return on_axes(plain("mrope", dim, base), 3, axes);
}

Schedule axial(const std::vector<int64_t>& axes_dim, double base, bool shared) {
  if (axes_dim.empty() || axes_dim.size() > kMostAxes) {
    refuse("axial", "axes_dim must have between 1 and " + std::to_string(kMostAxes) + " entries",
           text_of_list(axes_dim));
  }
  int64_t dim = 0;
  std::vector<int64_t> counts;
  for (std::size_t axis = 0; axis < axes_dim.size(); ++axis) {
    check_dim("axial", "axes_dim[" + std::to_string(axis) + "]", axes_dim[axis]);
    dim += axes_dim[axis];
    counts.push_back(axes_dim[axis] / 2);
  }
  check_dim("axial", "the sum of axes_dim", dim);
  check_positive("axial", "base", base);
  Schedule frequencies;
  if (shared) {
    frequencies = plain("axial", dim, base);
  } else {
    for (const int64_t part : axes_dim) {
      const Schedule of_axis = plain("axial", part, base);
      frequencies.inv_freq.insert(frequencies.inv_freq.end(), of_axis.inv_freq.begin(),
                                  of_axis.inv_freq.end());
    }
  }
  return on_axes(frequencies, static_cast<int64_t>(axes_dim.size()), in_blocks(counts));
}

}  // namespace rope::schedules
