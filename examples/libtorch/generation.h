// Greedy generation: the prompt at once, then token by token.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "decoder.h"

struct Generation {
  std::vector<int64_t> tokens;  // after the prompt
  bool interrupted = false;
};

// num_tokens ≥ 1 tokens, fewer after Ctrl-C. Prints what it does and how quickly.
Generation generate(Decoder& decoder, const std::vector<int64_t>& prompt, int64_t num_tokens);

// Bytes as one would type them in C: what is not printable ASCII is escaped.
std::string as_text(const std::vector<int64_t>& tokens);
