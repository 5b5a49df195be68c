// Overlap as a bounded linear equation in integers.
#include "overlap.h"

#include <algorithm>
#include <array>
#include <limits>

namespace rope::glue {
namespace {

// The rotated tensors have four dimensions, their arguments at most four.
constexpr int64_t kMaxRank = 8;
// Nesting strides branch at most in two on each of 17 levels, and almost never do.
constexpr int kSearchBudget = 256;

bool is_empty(const View& view) {
  return std::find(view.sizes, view.sizes + view.rank, 0) != view.sizes + view.rank;
}

// From here on the sums of an equation might not fit 63 bits. No memory is as large, but tensors
// without memory can be.
constexpr int64_t kMostBytes = int64_t{1} << 60;
constexpr int64_t kEndless = std::numeric_limits<int64_t>::max();

// From the first byte to one past the last; kEndless beyond kMostBytes.
int64_t span_bytes(const View& view) {
  int64_t last = 0;
  for (int64_t d = 0; d < view.rank; ++d) {
    int64_t reach;
    if (__builtin_mul_overflow(view.strides[d], view.sizes[d] - 1, &reach) ||
        __builtin_add_overflow(last, reach, &last)) {
      return kEndless;
    }
  }
  return last < kMostBytes / view.item_bytes ? (last + 1) * view.item_bytes : kEndless;
}

bool is_expanded(const View& view) {
  for (int64_t d = 0; d < view.rank; ++d) {
    if (view.sizes[d] > 1 && view.strides[d] == 0) return true;
  }
  return false;
}

// One summand stride · x of an equation, low <= x <= high.
struct Term {
  int64_t stride;
  int64_t low;
  int64_t high;
};

// Terms by descending stride, no stride twice.
class Terms {
 public:
  // False if there was one of this stride, which then takes the new range in.
  bool add(int64_t stride, int64_t low, int64_t high) {
    size_t place = count_;
    while (place > 0 && terms_[place - 1].stride < stride) --place;
    if (place > 0 && terms_[place - 1].stride == stride) {
      terms_[place - 1].low += low;
      terms_[place - 1].high += high;
      return false;
    }
    std::copy_backward(terms_.begin() + place, terms_.begin() + count_,
                       terms_.begin() + count_ + 1);
    terms_[place] = {stride, low, high};
    ++count_;
    return true;
  }

  size_t count() const { return count_; }
  const Term& operator[](size_t i) const { return terms_[i]; }

 private:
  std::array<Term, 2 * kMaxRank + 1> terms_;
  size_t count_ = 0;
};

// Whether Σ stride · x = target has a solution within the ranges.
class Equation {
 public:
  explicit Equation(const Terms& terms) : terms_(terms) {
    size_t i = terms.count();
    low_[i] = high_[i] = 0;
    while (i-- > 0) {
      low_[i] = low_[i + 1] + terms[i].stride * terms[i].low;
      high_[i] = high_[i + 1] + terms[i].stride * terms[i].high;
    }
  }

  // With the terms from i on.
  Overlap solve(int64_t target, size_t i = 0) {
    if (--budget_ < 0) return Overlap::kUnknown;
    if (target < low_[i] || target > high_[i]) return Overlap::kNone;
    if (i == terms_.count()) return Overlap::kSome;
    // What is left for the smaller strides must lie within their reach.
    const Term& term = terms_[i];
    const int64_t first = std::max(term.low, -floor_div(high_[i + 1] - target, term.stride));
    const int64_t last = std::min(term.high, floor_div(target - low_[i + 1], term.stride));
    for (int64_t x = first; x <= last; ++x) {
      const Overlap overlap = solve(target - term.stride * x, i + 1);
      if (overlap != Overlap::kNone) return overlap;
    }
    return Overlap::kNone;
  }

 private:
  static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

  const Terms& terms_;
  std::array<int64_t, 2 * kMaxRank + 2> low_;  // the least sum of the terms from i on
  std::array<int64_t, 2 * kMaxRank + 2> high_;
  int budget_ = kSearchBudget;
};

// Whether each stride exceeds the reach of all smaller ones, so that every index is another item.
bool is_nested(const Terms& dims) {
  int64_t reach = 0;
  for (size_t i = dims.count(); i-- > 0;) {
    if (dims[i].stride <= reach) return false;
    reach += dims[i].stride * dims[i].high;
  }
  return true;
}

// Two indices of one item differ first in some dimension, there by 1 or more, behind it by
// anything.
Overlap search_within(const Terms& dims) {
  for (size_t first = 0; first < dims.count(); ++first) {
    Terms difference;
    difference.add(dims[first].stride, 1, dims[first].high);
    for (size_t i = first + 1; i < dims.count(); ++i) {
      difference.add(dims[i].stride, -dims[i].high, dims[i].high);
    }
    const Overlap overlap = Equation(difference).solve(0);
    if (overlap != Overlap::kNone) return overlap;
  }
  return Overlap::kNone;
}

}  // namespace

Overlap overlap_within(const View& view) {
  if (is_empty(view)) return Overlap::kNone;
  if (is_expanded(view)) return Overlap::kSome;
  if (view.rank > kMaxRank || span_bytes(view) == kEndless) return Overlap::kUnknown;
  Terms dims;
  for (int64_t d = 0; d < view.rank; ++d) {
    if (view.sizes[d] == 1) continue;
    if (!dims.add(view.strides[d], 0, view.sizes[d] - 1)) return Overlap::kSome;
  }
  return is_nested(dims) ? Overlap::kNone : search_within(dims);
}

Overlap overlap_between(const View& a, const View& b) {
  if (is_empty(a) || is_empty(b)) return Overlap::kNone;
  const int64_t a_span = span_bytes(a);
  const int64_t b_span = span_bytes(b);
  const int64_t distance = b.address - a.address;
  if (distance >= a_span || -distance >= b_span) return Overlap::kNone;
  if (a_span == kEndless || b_span == kEndless) return Overlap::kUnknown;
  if (a.rank > kMaxRank || b.rank > kMaxRank) return Overlap::kUnknown;
  // Byte u of item i of a is byte v of item j of b: Σ stride · i + u − Σ stride · j − v = distance.
  Terms terms;
  for (int64_t d = 0; d < a.rank; ++d) {
    if (a.sizes[d] > 1 && a.strides[d] > 0) {
      terms.add(a.strides[d] * a.item_bytes, 0, a.sizes[d] - 1);
    }
  }
  for (int64_t d = 0; d < b.rank; ++d) {
    if (b.sizes[d] > 1 && b.strides[d] > 0) {
      terms.add(b.strides[d] * b.item_bytes, 1 - b.sizes[d], 0);
    }
  }
  terms.add(1, 1 - b.item_bytes, a.item_bytes - 1);
  return Equation(terms).solve(distance);
}

}  // namespace rope::glue
