// A token is chosen on the device and read back, so the clock sees all of a step.
#include "generation.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int64_t best(const at::Tensor& logits) {
  return logits[-1].argmax().item<int64_t>();
}

// One line that is written again and again on a terminal, once elsewhere.
class Progress {
 public:
  explicit Progress(int64_t total) : total_(total), terminal_(isatty(STDOUT_FILENO) == 1) {}

  // done tokens are there, all but the first of them since the start.
  void show(int64_t done) {
    if (!terminal_ || seconds_since(shown_) < 0.1) return;
    shown_ = Clock::now();
    print(done);
    std::fflush(stdout);
  }

  void finish(int64_t done) {
    print(done);
    std::printf("\n");
  }

 private:
  void print(int64_t done) const {
    const double speed = static_cast<double>(done - 1) / seconds_since(start_);
    const std::string count = std::to_string(done) + "/" + std::to_string(total_);
    std::printf("%sdecode   %11s", terminal_ ? "\r" : "", count.c_str());
    if (done > 1) std::printf(" %10.1f tokens/s", speed);
  }

  int64_t total_;
  bool terminal_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_;
};

}  // namespace

Generation generate(Decoder& decoder, const std::vector<int64_t>& prompt, int64_t num_tokens) {
  decoder.clear();
  const auto start = Clock::now();
  Generation result{{best(decoder.run(prompt))}};
  const double speed = static_cast<double>(prompt.size()) / seconds_since(start);
  std::printf("prefill  %11zu %10.1f tokens/s\n", prompt.size(), speed);

  Progress progress(num_tokens);
  const auto done = [&] { return static_cast<int64_t>(result.tokens.size()); };
  try {
    while (done() < num_tokens) {
      result.tokens.push_back(best(decoder.run({result.tokens.back()})));
      progress.show(done());
    }
  } catch (const Interrupted&) {
    result.interrupted = true;
  }
  progress.finish(done());
  return result;
}

std::string as_text(const std::vector<int64_t>& tokens) {
  std::string text;
  for (const int64_t token : tokens) {
    if (token == '"' || token == '\\') text += '\\';
    if (token >= ' ' && token <= '~') {
      text += static_cast<char>(token);
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(token));
    text += escaped;
  }
  return text;
}
