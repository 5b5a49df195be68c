// The cases that reach every kernel.
#include <cstdint>
#include <vector>

#include "corpus.h"

namespace rope::test {
namespace {

// One case for each width.
std::vector<Case> width_cases(const Case& base) {
  std::vector<Case> cases;
  for (const int32_t rotary_dim : {32, 24, 20, 6}) {
    cases.push_back(base);
    cases.back().rotary_dim = rotary_dim;
  }
  for (const int32_t first : {1, 2, 4}) {
    cases.push_back(base);
    cases.back().first = first;
  }
  return cases;
}

// One for each number of heads a thread can take: twos, fours, fives; with 32 bytes one or two.
std::vector<Case> crowded_cases(const Case& base) {
  struct Counts {
    int64_t q, k;
  };
  std::vector<Case> cases;
  for (const bool wide : {false, true}) {
    for (const Counts& counts : {Counts{4, 2}, Counts{3, 1}, Counts{3, 2}}) {
      cases.push_back(base);
      cases.back().crowded = true;
      cases.back().wide = wide;
      cases.back().tokens = 35;  // 70 in all: no longer decode
      cases.back().q_heads = counts.q;
      cases.back().k_heads = counts.k;
    }
  }
  // 9 of the 10 heads that two threads could take.
  cases.push_back(cases.front());
  cases.back().q_heads = 8;
  cases.back().k_heads = 1;
  return cases;
}

}  // namespace

std::vector<Case> kernel_cases() {
  std::vector<Case> cases;
  const auto add = [&](const std::vector<Case>& more) {
    cases.insert(cases.end(), more.begin(), more.end());
  };
  for (const Dtype dtype : kDtypes) {
    for (const Pairing pairing : kPairings) {
      for (const Angles angles : {Angles::kComputed, Angles::kTable}) {
        Case base;
        base.dtype = dtype;
        base.pairing = pairing;
        base.angles = angles;
        add(width_cases(base));
        add(crowded_cases(base));
        base.positions = Positions::kThreeAxes;
        if (angles == Angles::kComputed) add(crowded_cases(base));
      }
    }
  }
  return cases;
}

}  // namespace rope::test
