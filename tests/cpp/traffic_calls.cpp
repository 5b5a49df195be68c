#include "traffic_calls.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>

#include "fake_params.h"

namespace rope::test {
namespace {

// Where a caching allocator would put things: at multiples of 512 bytes, as PyTorch's does.
constexpr uint64_t kAllocation = 512;
constexpr uint64_t kTableAddress = uint64_t{1} << 40;
constexpr uint64_t kPositionAddress = uint64_t{1} << 41;
constexpr uint64_t kDataAddress = uint64_t{1} << 42;
constexpr int64_t kTableRows = 8192;

uint64_t size_of_component(const TrafficShape& shape) {
  return shape.dtype == Dtype::kFloat32 ? 4 : 2;
}

int64_t tokens_of(const Regime& regime) {
  return regime.batches * regime.tokens;
}

int64_t row_of(const TrafficTensor& tensor) {
  return tensor.row != 0 ? tensor.row : tensor.heads * tensor.head_dim;
}

uint64_t bytes_of(const TrafficShape& shape, const TrafficTensor& tensor, const Regime& regime) {
  const int64_t components = tensor.first + tokens_of(regime) * row_of(tensor);
  const uint64_t bytes = static_cast<uint64_t>(components) * size_of_component(shape);
  return (bytes + kAllocation - 1) / kAllocation * kAllocation;
}

uint64_t k_address(const TrafficShape& shape, const Regime& regime) {
  return kDataAddress + (shape.is_packed ? 0 : bytes_of(shape, shape.q, regime));
}

uint64_t data_end(const TrafficShape& shape, const Regime& regime) {
  return k_address(shape, regime) + bytes_of(shape, shape.k, regime);
}

// ---- what components occupy: a loop over them all

class Occupation {
 public:
  explicit Occupation(uint64_t bytes) : sectors_(bytes / 32), lines_(bytes / 128) {}

  void add(uint64_t byte, uint64_t bytes) {
    bytes_ += bytes;
    sectors_[byte / 32] = true;  // components are aligned: none is in two
    lines_[byte / 128] = true;
  }

  Occupied result() const {
    return {static_cast<uint64_t>(std::count(sectors_.begin(), sectors_.end(), true)),
            static_cast<uint64_t>(std::count(lines_.begin(), lines_.end(), true)), bytes_};
  }

 private:
  std::vector<bool> sectors_;
  std::vector<bool> lines_;
  uint64_t bytes_ = 0;
};

enum class Part { kRotated, kWhole };

Occupied occupied(const TrafficShape& shape, const Regime& regime, Part part) {
  const uint64_t size = size_of_component(shape);
  Occupation occupation(data_end(shape, regime) - kDataAddress);
  const auto add_tensor = [&](const TrafficTensor& tensor, uint64_t address) {
    const bool whole = part == Part::kWhole;
    const int64_t first = tensor.first + (whole ? 0 : tensor.rotary_offset);
    const int64_t count = whole ? tensor.head_dim : shape.rotary_dim;
    for (int64_t token = 0; token < tokens_of(regime); ++token) {
      for (int64_t head = 0; head < tensor.heads; ++head) {
        for (int64_t i = 0; i < count; ++i) {
          const int64_t component = token * row_of(tensor) + head * tensor.head_dim + first + i;
          const uint64_t byte = address - kDataAddress + static_cast<uint64_t>(component) * size;
          occupation.add(byte, size);
        }
      }
    }
  };
  add_tensor(shape.q, kDataAddress);
  add_tensor(shape.k, k_address(shape, regime));
  return occupation.result();
}

Heads heads_of(const TrafficShape& shape, const TrafficTensor& tensor, uint64_t address) {
  const int64_t first = tensor.first + tensor.rotary_offset;
  Heads heads;
  heads.num_heads = tensor.heads;
  heads.out = fake_address(address + static_cast<uint64_t>(first) * size_of_component(shape));
  heads.in = heads.out;
  return heads;
}

Strides strides_of(const TrafficTensor& tensor, const Regime& regime) {
  return {regime.tokens * row_of(tensor), row_of(tensor), tensor.head_dim};
}

Table table_of(const TrafficShape& shape) {
  Table table;
  table.cos = fake_address(kTableAddress);
  table.sin = fake_address(kTableAddress + static_cast<uint64_t>(shape.rotary_dim) / 2 * 4);
  table.num_rows = kTableRows;
  table.stride.token = shape.rotary_dim;
  return table;
}

std::vector<int64_t> positions_of(const Regime& regime) {
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < tokens_of(regime); ++i) {
    positions.push_back(regime.batches > 1 ? (i + 1) * 2203 % kTableRows : i);  // 2203 is odd
  }
  return positions;
}

}  // namespace

const std::vector<TrafficShape>& traffic_shapes() {
  static const std::vector<TrafficShape> shapes = {
      {"Llama-3-8B", 128, {32, 128}, {8, 128}},
      {"Llama-3-70B", 128, {64, 128}, {8, 128}},
      {"Llama-3-70B on 8 GPUs", 128, {8, 128}, {1, 128}},
      {"Qwen3-30B-A3B", 128, {32, 128}, {4, 128}},
      {"MHA 32/32", 128, {32, 128}, {32, 128}},
      {"Llama-3-8B, packed QKV",
       128,
       {32, 128, 0, 6144},
       {8, 128, 0, 6144, 4096},
       Dtype::kBFloat16,
       true},
      {"Llama-3-8B, float32", 128, {32, 128}, {8, 128}, Dtype::kFloat32},
      {"Llama-3.2-1B, 64 a head", 64, {32, 64}, {8, 64}},
      {"Gemma-2-9B, 256 a head", 256, {16, 256}, {8, 256}},
      // The rotated part of k is the end of a row of 512 + 64, the compressed keys and values.
      {"DeepSeek MLA", 64, {128, 192, 128}, {1, 64, 0, 576, 512}},
      {"Phi-2", 32, {32, 80}, {32, 80}},
      {"GPT-NeoX-20B", 24, {64, 96}, {64, 96}},
      // Views that begin in the middle of a sector, or of a word.
      {"8 + 1 heads, 16 bytes off", 128, {8, 128, 0, 0, 8}, {1, 128, 0, 0, 8}},
      {"8 + 1 heads, 2 bytes off", 128, {8, 128, 0, 0, 1}, {1, 128, 0, 0, 1}},
  };
  return shapes;
}

const TrafficShape& traffic_shape(const char* name) {
  for (const TrafficShape& shape : traffic_shapes()) {
    if (std::strcmp(shape.name, name) == 0) return shape;
  }
  throw std::invalid_argument(name);
}

const Occupied& rotated_part(const TrafficShape& shape, const Regime& regime) {
  static std::map<std::tuple<std::string, std::string>, Occupied> known;
  const auto key = std::make_tuple(shape.name, regime.name);
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  return known[key] = occupied(shape, regime, Part::kRotated);
}

Occupied whole_heads(const TrafficShape& shape, const Regime& regime) {
  return occupied(shape, regime, Part::kWhole);
}

TrafficCall traffic_call(const TrafficShape& shape, Pairing pairing, const Regime& regime,
                         Source source) {
  TrafficCall call;
  Params& params = call.params;
  params.dtype = shape.dtype;
  params.pairing = pairing;
  params.rotary_dim = shape.rotary_dim;
  params.num_batches = regime.batches;
  params.num_tokens = regime.tokens;
  params.q = heads_of(shape, shape.q, kDataAddress);
  params.k = heads_of(shape, shape.k, k_address(shape, regime));
  params.q.in_stride = params.q.out_stride = strides_of(shape.q, regime);
  params.k.in_stride = params.k.out_stride = strides_of(shape.k, regime);
  params.axes[0] = {fake_address(kPositionAddress), Integer::kInt64, regime.tokens, 1, false};
  params.frequencies.turns = fake_address<uint64_t>(kAllocation);
  if (source == Source::kTable) params.table = table_of(shape);
  params = merge_batches(params);

  const uint64_t row_bytes = static_cast<uint64_t>(shape.rotary_dim) * 4;
  call.positions = positions_of(regime);
  call.data = {kDataAddress, data_end(shape, regime)};
  call.table = {kTableAddress, kTableAddress + kTableRows * row_bytes};
  call.position = {kPositionAddress, kPositionAddress + call.positions.size() * 8};
  return call;
}

const Traffic& table_traffic(const TrafficShape& shape, Pairing pairing, const Regime& regime) {
  static std::map<std::tuple<std::string, Pairing, std::string>, Traffic> known;
  const auto key = std::make_tuple(shape.name, pairing, regime.name);
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  return known[key] = traffic_of(traffic_call(shape, pairing, regime, Source::kTable));
}

}  // namespace rope::test
