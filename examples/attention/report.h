// The table that the program prints, and its verdict.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>

struct Report {
  bool ok = true;

  static void head() {
    std::printf("%-58s %13s %9s %11s\n", "", "largest error", "of bound", "time");
  }

  // |actual − exact| may not exceed bound, elementwise; milliseconds 0: no time to tell.
  void within(const char* what, const at::Tensor& actual, const at::Tensor& exact,
              const at::Tensor& bound, double milliseconds = 0) {
    const at::Tensor error = (actual.to(at::kDouble) - exact).abs();
    const auto share = (error / bound).max().item<double>();  // NaN where actual is
    std::printf("%-58s %13.1e %9.2g", what, error.max().item<double>(), share);
    if (milliseconds > 0) std::printf(" %8.3f ms", milliseconds);
    std::printf("%s\n", share <= 1 ? "" : "  TOO LARGE");
    ok = ok && share <= 1;
  }

  void same_bits(const char* what, bool same) {
    std::printf("%-58s %13s\n", what, same ? "same bits" : "DIFFERENT");
    ok = ok && same;
  }
};

// The shortest of several runs; work returns a tensor, whose first element is waited for.
template <class Work>
double milliseconds_of(const Work& work) {
  double shortest = std::numeric_limits<double>::infinity();
  for (int run = 0; run < 10; ++run) {
    const auto start = std::chrono::steady_clock::now();
    work().flatten()[0].item();
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    shortest = std::min(shortest, time.count());
  }
  return shortest;
}
