// Options take their value as the next word, or after "=".
#include "arguments.h"

#include <c10/util/Exception.h>

#include <charconv>
#include <string_view>

const char* const kHelp =
    "generate FOLDER [--tokens N] [--prompt TEXT] [--device DEVICE]\n"
    "\n"
    "Generates text with the decoder in FOLDER, which export_decoder.py has written, and compares\n"
    "it with the same model in Python. Status 0: as in Python; 1: not, or an error; 2: wrong "
    "usage;\n"
    "130: Ctrl-C.\n"
    "\n"
    "  --tokens N       to generate; by default as many as Python has\n"
    "  --prompt TEXT    to continue, instead of the one in FOLDER\n"
    "  --device DEVICE  cpu, cuda or cuda:N, as the decoder was compiled for; found out by "
    "default\n";

namespace {

int64_t positive(std::string_view option, std::string_view text) {
  int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < 1)
    throw UsageError(std::string(option) + " wants a number from 1, got " + std::string(text));
  return value;
}

c10::Device device_named(const std::string& name) {
  try {
    return c10::Device(name);
  } catch (const c10::Error&) {
    throw UsageError("--device wants cpu, cuda or cuda:N, got " + name);
  }
}

void set(Arguments& arguments, std::string_view option, const std::optional<std::string>& value) {
  if (option != "--tokens" && option != "--prompt" && option != "--device")
    throw UsageError("no such option: " + std::string(option));
  if (!value) throw UsageError(std::string(option) + " wants a value");
  if (option == "--tokens") arguments.num_tokens = positive(option, *value);
  if (option == "--prompt") arguments.prompt = value;
  if (option == "--device") arguments.device = device_named(*value);
}

}  // namespace

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--help" || word == "-h") {
      arguments.help = true;
      return arguments;
    }
    if (!word.starts_with("-")) {
      if (!arguments.folder.empty())
        throw UsageError("one folder, got " + std::string(word) + " too");
      arguments.folder = word;
      continue;
    }
    const size_t equals = word.find('=');
    std::optional<std::string> value;
    if (equals != std::string_view::npos)
      value = word.substr(equals + 1);
    else if (i + 1 < argc)
      value = argv[++i];
    set(arguments, word.substr(0, equals), value);
  }
  if (arguments.folder.empty()) throw UsageError("name a folder");
  return arguments;
}
