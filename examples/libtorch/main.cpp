// Loads a compiled decoder, judges it by the same model in Python, and generates text with it.

#include <c10/core/InferenceMode.h>
#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "arguments.h"
#include "check.h"
#include "decoder.h"
#include "files.h"
#include "generation.h"

namespace {

constexpr int kOther = 1;
constexpr int kUsage = 2;
constexpr int kInterrupted = 130;

std::vector<int64_t> prompt_of(const Arguments& arguments, const Expected& expected) {
  if (!arguments.prompt)
    return {expected.tokens.begin(), expected.tokens.begin() + expected.prompt_length};
  std::vector<int64_t> tokens;
  for (const char byte : *arguments.prompt) tokens.push_back(static_cast<unsigned char>(byte));
  return tokens;
}

void require_room(size_t prompt, int64_t num_tokens, const Decoder& decoder) {
  if (prompt == 0) throw UsageError("--prompt is empty");
  const std::string cache = "the cache of " + std::to_string(decoder.capacity());
  const int64_t room = decoder.capacity() - static_cast<int64_t>(prompt);
  if (room < 0)
    throw UsageError("a prompt of " + std::to_string(prompt) + " bytes does not fit into " + cache);
  // The last token is not read again.
  if (num_tokens > room + 1)
    throw UsageError("a prompt of " + std::to_string(prompt) + " bytes leaves room for " +
                     std::to_string(room + 1) + " tokens in " + cache + ", not for " +
                     std::to_string(num_tokens));
}

int run(const Arguments& arguments) {
  const c10::InferenceMode inference;
  const Expected expected = read_expected(arguments.folder / "expected.pt");
  Decoder decoder(arguments.folder, arguments.device);
  const std::string dtype(c10::getDtypeNames(decoder.dtype()).first);
  std::printf("decoder  %s, %s, %lld layers, a cache of %lld tokens, %.1f MB of weights\n",
              decoder.device().str().c_str(), dtype.c_str(),
              static_cast<long long>(decoder.layers()), static_cast<long long>(decoder.capacity()),
              decoder.weight_megabytes());

  const std::vector<int64_t> prompt = prompt_of(arguments, expected);
  const auto num_tokens = arguments.num_tokens.value_or(
      static_cast<int64_t>(expected.tokens.size()) - expected.prompt_length);
  require_room(prompt.size(), num_tokens, decoder);

  bool same = check_logits(decoder, expected);
  const Generation generation = generate(decoder, prompt, num_tokens);
  std::printf("text     \"%s\" \"%s\"\n", as_text(prompt).c_str(),
              as_text(generation.tokens).c_str());
  if (!arguments.prompt) same &= check_tokens(generation.tokens, expected);
  if (generation.interrupted) throw Interrupted();
  std::puts(same ? "as in Python" : "NOT as in Python");
  return same ? 0 : kOther;
}

int fail(const char* sentence, int status) {
  std::fflush(stdout);
  std::fprintf(stderr, "generate: %s\n", sentence);
  return status;
}

}  // namespace

int main(int argc, char** argv) try {
  catch_ctrl_c();
  const Arguments arguments = parse(argc, argv);
  if (arguments.help) return std::fputs(kHelp, stdout) < 0 ? kOther : 0;
  return run(arguments);
} catch (const UsageError& error) {
  return fail((std::string(error.what()) + "; --help says more").c_str(), kUsage);
} catch (const Interrupted& error) {
  return fail(error.what(), kInterrupted);
} catch (const c10::Error& error) {
  return fail(error.what_without_backtrace(), kOther);
} catch (const std::exception& error) {
  return fail(error.what(), kOther);
}
