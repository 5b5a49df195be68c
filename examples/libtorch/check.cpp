// How expected.py derives the tolerance is written there. It allows for the distance of either side
// to the exact logits, so that two results of this program may be two tolerances apart, at most.
#include "check.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <cstdio>
#include <string>

namespace {

// The logits of all tokens, of which the first at_once are one call.
at::Tensor logits_of(Decoder& decoder, const std::vector<int64_t>& tokens, int64_t at_once) {
  decoder.clear();
  std::vector<at::Tensor> logits{decoder.run({tokens.begin(), tokens.begin() + at_once})};
  for (auto token = tokens.begin() + at_once; token != tokens.end(); ++token)
    logits.push_back(decoder.run({*token}));
  return at::cat(logits).to(at::device(at::kCPU).dtype(at::kDouble));
}

bool within(const char* what, const at::Tensor& a, const at::Tensor& b, double allowed) {
  const auto largest = (a - b).abs().max().item<double>();  // NaN where one of them is
  const bool ok = largest <= allowed;
  std::printf("  %-44s %12.2g %10.2g%s\n", what, largest, allowed, ok ? "" : "  TOO LARGE");
  return ok;
}

}  // namespace

bool check_logits(Decoder& decoder, const Expected& expected) {
  const std::vector<int64_t> tokens(expected.tokens.begin(), expected.tokens.end() - 1);
  const auto num_tokens = static_cast<int64_t>(tokens.size());
  const std::string title = "logits of " + std::to_string(num_tokens) + " tokens";
  std::printf("%-46s %12s %10s\n", title.c_str(), "difference", "allowed");
  std::fflush(stdout);  // the rest takes a while
  const at::Tensor as_generated = logits_of(decoder, tokens, expected.prompt_length);
  const at::Tensor all_at_once = logits_of(decoder, tokens, num_tokens);
  const at::Tensor one_by_one = logits_of(decoder, tokens, 1);
  bool ok = within("prefill, then decode, against Python", as_generated, expected.logits,
                   expected.tolerance);
  ok &= within("one by one against all at once", one_by_one, all_at_once, 2 * expected.tolerance);
  if (!decoder.weights_are_shared()) {
    std::puts("  TWO COPIES of the weights");
    ok = false;
  }
  return ok;
}

bool check_tokens(const std::vector<int64_t>& generated, const Expected& expected) {
  const auto chosen = expected.tokens.begin() + expected.prompt_length;
  const auto count =
      std::min<int64_t>(expected.tokens.end() - chosen, static_cast<int64_t>(generated.size()));
  const auto other = std::mismatch(generated.begin(), generated.begin() + count, chosen);
  const auto same = other.first - generated.begin();
  std::printf("tokens   %11s as in Python",
              (std::to_string(same) + "/" + std::to_string(count)).c_str());
  if (same == count) {
    std::printf("\n");
    return true;
  }
  const at::Tensor logits = expected.logits[expected.prompt_length - 1 + same];
  const auto apart = (logits[*other.second] - logits[*other.first]).abs().item<double>();
  const bool near_tie = apart <= 2 * expected.tolerance;
  std::printf(", then %lld instead of %lld: there %.2g apart, %s\n",
              static_cast<long long>(*other.first), static_cast<long long>(*other.second), apart,
              near_tie ? "a near tie" : "NO NEAR TIE");
  return near_tie;
}
