// torch::pickle_load reads what torch.save writes, where that is made of tensors and numbers.
#include "files.h"

#include <ATen/core/Dict.h>
#include <torch/csrc/jit/serialization/pickle.h>

#include <fstream>
#include <iterator>
#include <stdexcept>

namespace {

// What use makes of the dictionary in a file; it throws where that is something else.
template <typename Use>
auto read(const std::filesystem::path& path, Use use) {
  require_file(path);
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  try {
    return use(torch::jit::pickle_load(bytes).toGenericDict());
  } catch (const std::exception&) {
    throw std::runtime_error(path.string() + kDamaged);
  }
}

}  // namespace

void require_file(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path))
    throw std::runtime_error(path.string() + ": no such file; export_decoder.py writes it");
}

std::unordered_map<std::string, at::Tensor> read_weights(const std::filesystem::path& path) {
  return read(path, [](const c10::impl::GenericDict& dict) {
    std::unordered_map<std::string, at::Tensor> weights;
    for (const auto& entry : dict)
      weights.emplace(entry.key().toStringRef(), entry.value().toTensor());
    return weights;
  });
}

Expected read_expected(const std::filesystem::path& path) {
  return read(path, [](const c10::impl::GenericDict& dict) {
    Expected expected;
    const at::Tensor tokens = dict.at("tokens").toTensor().contiguous();
    expected.tokens.assign(tokens.const_data_ptr<int64_t>(),
                           tokens.const_data_ptr<int64_t>() + tokens.numel());
    expected.prompt_length = dict.at("prompt_length").toInt();
    expected.logits = dict.at("logits").toTensor().to(at::kDouble);
    expected.tolerance = dict.at("tolerance").toDouble();
    TORCH_CHECK(expected.logits.dim() == 2 && expected.logits.size(0) == tokens.numel() - 1);
    TORCH_CHECK(0 < expected.prompt_length && expected.prompt_length < tokens.numel());
    return expected;
  });
}
