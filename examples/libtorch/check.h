// The program's logits and tokens against those of the model in Python.
#pragma once

#include <cstdint>
#include <vector>

#include "decoder.h"
#include "files.h"

// Reads the tokens that Python read, in three ways, and prints the largest differences. False where
// one is larger than roundings explain, or where the two models have weights of their own.
bool check_logits(Decoder& decoder, const Expected& expected);

// generated: what follows the same prompt. False where another token was chosen, unless Python's
// logits of the two are so close that roundings may decide; the texts then part for good.
bool check_tokens(const std::vector<int64_t>& generated, const Expected& expected);
