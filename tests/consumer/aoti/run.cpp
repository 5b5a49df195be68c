// run PACKAGE TOKENS X POSITIONS RESULT: runs a model of AOTInductor that takes float32 values,
// (2, TOKENS, any), and int64 positions, (TOKENS,). The last three are files of bare numbers.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

at::Tensor read(const std::string& path, at::ScalarType type) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto size = static_cast<int64_t>(bytes.size() / c10::elementSize(type));
  at::Tensor numbers = at::empty({size}, type);
  std::ranges::copy(bytes, static_cast<char*>(numbers.mutable_data_ptr()));
  return numbers;
}

void write(const std::string& path, const at::Tensor& tensor) {
  const at::Tensor dense = tensor.contiguous();
  const auto bytes = static_cast<std::streamsize>(dense.nbytes());
  std::ofstream(path, std::ios::binary)
      .write(static_cast<const char*>(dense.const_data_ptr()), bytes);
}

}  // namespace

int main(int, char** argv) {
  const at::Tensor x = read(argv[3], at::kFloat).view({2, std::atoi(argv[2]), -1});
  const at::Tensor positions = read(argv[4], at::kLong);
  torch::inductor::AOTIModelPackageLoader model(argv[1]);
  write(argv[5], model.run({x, positions}).front());
}
