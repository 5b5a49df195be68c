// The models see of the cache what their tokens attend to, and write the last of it in place. They
// hold no weights: both are given the same tensors, which this class keeps.
#include "decoder.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <csignal>
#include <stdexcept>

#include "files.h"

namespace {

using torch::inductor::AOTIModelPackageLoader;

volatile std::sig_atomic_t interrupted = 0;

std::string package_in(const std::filesystem::path& folder) {
  require_file(folder / "model.pt2");
  return (folder / "model.pt2").string();
}

std::unordered_map<std::string, std::string> metadata_in(const std::filesystem::path& folder) {
  const std::string package = package_in(folder);
  try {
    return AOTIModelPackageLoader::load_metadata_from_package(package, "decode");
  } catch (const std::exception&) {
    throw std::runtime_error(package + kDamaged);
  }
}

c10::Device device_for(const std::filesystem::path& folder,
                       const std::optional<c10::Device>& wanted) {
  const c10::Device compiled_for(metadata_in(folder).at("AOTI_DEVICE_KEY"));
  if (!wanted) return compiled_for;
  if (wanted->type() != compiled_for.type()) {
    const std::string name = c10::DeviceTypeName(wanted->type(), true);
    throw std::runtime_error("compiled for " + compiled_for.str() + ", not for " + name +
                             "; export_decoder.py has --device " + name);
  }
  return *wanted;
}

std::vector<at::Tensor> make_cache(const std::filesystem::path& folder, at::TensorOptions options) {
  const auto metadata = metadata_in(folder);
  const auto extent = [&](const char* name) { return std::stoll(metadata.at(name)); };
  std::vector<at::Tensor> cache;
  for (int64_t i = 0; i < 2 * extent("layers"); ++i)
    cache.push_back(
        at::empty({1, extent("capacity"), extent("heads_k"), extent("head_dim")}, options));
  return cache;
}

}  // namespace

void catch_ctrl_c() {
  std::signal(SIGINT, [](int) {
    interrupted = 1;
    std::signal(SIGINT, SIG_DFL);  // a second one ends the program at once
  });
}

Decoder::Decoder(const std::filesystem::path& folder, const std::optional<c10::Device>& device)
    : device_(device_for(folder, device)),
      weights_(read_weights(folder / "weights.pt")),
      prefill_(package_in(folder), "prefill", false, 1, device_.index()),
      decode_(package_in(folder), "decode", false, 1, device_.index()) {
  for (auto& [name, weight] : weights_) weight = weight.to(device_);
  give_weights(prefill_, folder);
  give_weights(decode_, folder);
  cache_ = make_cache(folder, weights_.at("embedding").options());
}

void Decoder::give_weights(Loader& model, const std::filesystem::path& folder) {
  std::unordered_map<std::string, at::Tensor> wanted;
  for (const std::string& name : model.get_constant_fqns()) {
    const auto found = weights_.find(name);
    if (found == weights_.end())
      throw std::runtime_error((folder / "weights.pt").string() + ": of another model, without " +
                               name);
    wanted.insert(*found);
  }
  model.load_constants(wanted, /*use_inactive=*/false, /*check_full_update=*/true,
                       /*user_managed=*/true);
}

at::Tensor Decoder::run(const std::vector<int64_t>& tokens) {
  if (interrupted != 0) throw Interrupted();
  const auto num_tokens = static_cast<int64_t>(tokens.size());
  TORCH_CHECK(num_tokens == 1 || length_ == 0, "one token at a time after the first call");
  TORCH_CHECK(length_ + num_tokens <= capacity(), "the cache is full");
  length_ += num_tokens;

  std::vector<at::Tensor> inputs{at::tensor(tokens, at::kLong).unsqueeze(0).to(device_)};
  for (const at::Tensor& one : cache_) inputs.push_back(one.narrow(1, 0, length_));
  Loader& model = num_tokens == 1 ? decode_ : prefill_;
  return model.run(inputs).front().squeeze(0);
}

double Decoder::weight_megabytes() const {
  size_t bytes = 0;
  for (const auto& [name, weight] : weights_) bytes += weight.nbytes();
  return static_cast<double>(bytes) / 1e6;
}

bool Decoder::weights_are_shared() {
  const auto in_prefill = prefill_.get_runner()->extract_constants_map(false);
  const auto in_decode = decode_.get_runner()->extract_constants_map(false);
  for (const auto& [name, weight] : in_decode)
    if (weight.const_data_ptr() != in_prefill.at(name).const_data_ptr()) return false;
  return !in_decode.empty();
}
