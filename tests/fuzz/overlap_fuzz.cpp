// Whether views overlap: small ones against the set of their bytes, and any extents and strides,
// spans beyond 63 bits too, for which no answer but an honest one is asked.
#include "overlap.h"

#include <algorithm>
#include <vector>

#include "input.h"

namespace rope::fuzz {
namespace {

using glue::Overlap;
using glue::View;

// Of a small view; more of them would make the sets slow.
constexpr int64_t kMostItems = 600;

struct Array {
  int64_t address = 0;
  int64_t item_bytes = 1;
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;

  View view() const {
    return {address, item_bytes, static_cast<int64_t>(sizes.size()), sizes.data(), strides.data()};
  }

  // The addresses of all items, sorted; one that means two indices is there twice.
  std::vector<int64_t> items() const {
    std::vector<int64_t> items = {address};
    for (size_t d = 0; d < sizes.size(); ++d) {
      std::vector<int64_t> longer;
      for (const int64_t item : items) {
        for (int64_t i = 0; i < sizes[d]; ++i) longer.push_back(item + i * strides[d] * item_bytes);
      }
      items = longer;
    }
    std::sort(items.begin(), items.end());
    return items;
  }
};

Array small_array(Input& input) {
  Array array;
  array.address = input.between(0, 200);
  array.item_bytes = int64_t{1} << input.between(0, 3);
  int64_t items = 1;
  int64_t reach = 0;
  const bool is_nested = input.one_in(2);
  for (int64_t rank = input.between(0, 4); rank > 0; --rank) {
    const int64_t size = input.one_in(16) ? 0 : input.between(1, 9);
    if (items * size > kMostItems) break;
    items *= std::max<int64_t>(size, 1);
    array.sizes.push_back(size);
    array.strides.push_back(is_nested ? reach + input.between(0, 4) : input.between(0, 40));
    reach += array.strides.back() * std::max<int64_t>(size - 1, 0);
  }
  return array;
}

// Whether each stride exceeds the reach of all smaller ones: where an answer is promised.
bool is_nested(const std::vector<const Array*>& arrays) {
  std::vector<std::pair<int64_t, int64_t>> dims;  // stride in bytes, size
  for (const Array* array : arrays) {
    for (size_t d = 0; d < array->sizes.size(); ++d) {
      if (array->sizes[d] <= 1 || array->strides[d] == 0) continue;
      dims.emplace_back(array->strides[d] * array->item_bytes, array->sizes[d]);
    }
  }
  std::sort(dims.begin(), dims.end());
  int64_t reach = 0;
  for (const Array* array : arrays) reach = std::max(reach, array->item_bytes - 1);
  for (const auto& [stride, size] : dims) {
    if (stride <= reach) return false;
    reach += stride * (size - 1);
  }
  return true;
}

void require_answer(Overlap answer, bool overlaps, bool is_promised) {
  if (answer == Overlap::kUnknown) return require(!is_promised, "nesting strides get an answer");
  require((answer == Overlap::kSome) == overlaps, "an answer is right");
}

void judge_small(Input& input) {
  const Array a = small_array(input);
  const Array b = small_array(input);
  const std::vector<int64_t> items = a.items();
  const bool repeats = std::adjacent_find(items.begin(), items.end()) != items.end();
  require_answer(overlap_within(a.view()), repeats, is_nested({&a}));
  const std::vector<int64_t> others = b.items();
  // Two items share a byte where their addresses differ by less than the lower one's size.
  const bool shares = std::any_of(items.begin(), items.end(), [&](int64_t item) {
    const auto near = std::upper_bound(others.begin(), others.end(), item - b.item_bytes);
    return near != others.end() && *near < item + a.item_bytes;
  });
  require_answer(overlap_between(a.view(), b.view()), shares, is_nested({&a, &b}));
  require_answer(overlap_between(b.view(), a.view()), shares, is_nested({&a, &b}));
  if (!items.empty()) {
    require(overlap_between(a.view(), a.view()) != Overlap::kNone, "a view overlaps itself");
  }
}

int64_t not_negative(Input& input) {
  return input.integer() & kMost;
}

Array any_array(Input& input) {
  Array array;
  array.address = not_negative(input);
  array.item_bytes = int64_t{1} << input.between(0, 4);
  for (int64_t rank = input.between(0, 10); rank > 0; --rank) {
    const bool small = input.one_in(2);
    array.sizes.push_back(small ? input.between(0, 70) : not_negative(input));
    array.strides.push_back(input.one_in(3) ? input.between(0, 5000) : not_negative(input));
  }
  return array;
}

void judge_any(Input& input) {
  const Array a = any_array(input);
  const Array b = any_array(input);
  const Overlap within = overlap_within(a.view());
  const bool has_items = std::count(a.sizes.begin(), a.sizes.end(), 0) == 0;
  for (size_t d = 0; d < a.sizes.size() && has_items && a.sizes.size() <= 8; ++d) {
    const bool repeats = a.sizes[d] > 1 && a.strides[d] == 0;
    require(!repeats || within != Overlap::kNone, "an expanded view overlaps itself");
  }
  overlap_between(a.view(), b.view());
  const Overlap same = overlap_between(a.view(), a.view());
  require(has_items ? same != Overlap::kNone : same == Overlap::kNone, "a view overlaps itself");
}

}  // namespace
}  // namespace rope::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rope::fuzz::Input input(data, size);
  if (input.one_in(3)) {
    rope::fuzz::judge_any(input);
  } else {
    rope::fuzz::judge_small(input);
  }
  return 0;
}
