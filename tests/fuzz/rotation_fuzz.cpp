// run_cpu with Params of any kind: refused for a reason that the contract gives and with nothing
// touched, or done inside memory of exactly the size that the call reaches, writing the rotated
// components alone, with the same bits from every backend and in slices.
#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "all_backends.h"
#include "drawn_params.h"

namespace rope::fuzz {
namespace {

using Bytes = std::vector<std::vector<uint8_t>>;

Bytes copy_of(const Memory& memory) {
  Bytes copies;
  for (const Block& block : memory.blocks()) {
    copies.emplace_back(block.bytes.get(), block.bytes.get() + block.size);
  }
  return copies;
}

void restore(const Memory& memory, const Bytes& copies) {
  for (size_t i = 0; i < copies.size(); ++i) {
    if (!copies[i].empty()) {
      std::memcpy(memory.blocks()[i].bytes.get(), copies[i].data(), copies[i].size());
    }
  }
}

bool is_nan(const uint8_t* item, Dtype dtype) {
  uint32_t bits = 0;
  if (dtype == Dtype::kFloat32) {
    std::memcpy(&bits, item, 4);
    return (bits & 0x7fffffffu) > 0x7f800000u;
  }
  std::memcpy(&bits, item, 2);
  return (bits & 0x7fffu) > (dtype == Dtype::kFloat16 ? 0x7c00u : 0x7f80u);
}

// The rotated components of an output, marked in a copy of its block's extent.
class Outputs {
 public:
  Outputs(const Memory& memory, const Params& params) : memory_(memory), params_(params) {
    for (const Block& block : memory.blocks()) marks_.emplace_back(block.size, uint8_t{0});
    mark(params.q);
    mark(params.k);
  }

  // Whether no component is written twice, or read elsewhere: only then has a call one result.
  bool are_apart() const { return are_apart_; }

  // All other bytes are as before.
  void require_nothing_else_written(const Bytes& before) const {
    for (size_t b = 0; b < before.size(); ++b) {
      const uint8_t* now = memory_.blocks()[b].bytes.get();
      for (size_t i = 0; i < before[b].size(); ++i) {
        require(marks_[b][i] != 0 || now[i] == before[b][i], "writes rotated components alone");
      }
    }
  }

  // Apart from the payload of a NaN.
  void require_same(const Bytes& expected) const {
    const size_t item = params_.dtype == Dtype::kFloat32 ? 4 : 2;
    for (size_t b = 0; b < expected.size(); ++b) {
      const uint8_t* now = memory_.blocks()[b].bytes.get();
      for (size_t i = 0; i < expected[b].size();) {
        const size_t step = marks_[b][i] != 0 ? item : 1;
        const bool same = std::memcmp(now + i, expected[b].data() + i, step) == 0;
        require(same || (step == item && is_nan(now + i, params_.dtype) &&
                         is_nan(expected[b].data() + i, params_.dtype)),
                "the same bits from every backend, whole and in slices");
        i += step;
      }
    }
  }

 private:
  void mark(const Heads& heads) {
    const int64_t item = params_.dtype == Dtype::kFloat32 ? 4 : 2;
    for (int64_t batch = 0; batch < params_.num_batches; ++batch) {
      for (int64_t token = 0; token < params_.num_tokens; ++token) {
        for (int64_t head = 0; head < heads.num_heads; ++head) {
          const Strides& s = heads.out_stride;
          const int64_t first = batch * s.batch + token * s.token + head * s.head;
          mark_row(static_cast<const uint8_t*>(heads.out) + first * item,
                   static_cast<size_t>(params_.rotary_dim * item));
        }
      }
    }
  }

  void mark_row(const uint8_t* row, size_t size) {
    for (size_t b = 0; b < marks_.size(); ++b) {
      const Block& block = memory_.blocks()[b];
      if (row < block.bytes.get() || row >= block.bytes.get() + block.size) continue;
      const auto first = static_cast<size_t>(row - block.bytes.get());
      require(first + size <= block.size, "a row lies inside its block");
      for (size_t i = first; i < first + size; ++i) are_apart_ &= marks_[b][i]++ == 0;
    }
  }

  const Memory& memory_;
  const Params& params_;
  std::vector<std::vector<uint8_t>> marks_;
  bool are_apart_ = true;
};

// Now and then an address that cannot be right.
void spoil(Input& input, Params& params) {
  if (!input.one_in(32)) return;
  const auto change = [&input](auto*& address) {
    if (!input.one_in(4)) return;
    const auto number = reinterpret_cast<uintptr_t>(address) + 1;
    address = input.one_in(2)
                  ? nullptr
                  : reinterpret_cast<std::remove_reference_t<decltype(address)>>(number);
  };
  change(params.q.in);
  change(params.k.out);
  change(params.axes[0].positions);
  change(params.offsets.data);
  change(params.cu_seqlens.data);
  change(params.frequencies.turns);
  change(params.table.cos);
  change(params.table.sin);
}

void require_refused(const Params& params, const std::vector<Status>& reasons) {
  const Status status = run_cpu(params);
  require(std::find(reasons.begin(), reasons.end(), status) != reasons.end(),
          "refused for a reason that there is");
  require(run_cpu(params, 0, 1) == status, "a slice is refused for the same reason");
}

// The whole call through run_cpu, then two slices, the last first, on each backend.
void run_everywhere(Input& input, const Params& params, const Memory& memory) {
  const Bytes before = copy_of(memory);
  require(run_cpu(params) == Status::kSuccess, "accepts what the contract accepts");
  const Bytes expected = copy_of(memory);
  if (touches_nothing(params)) return require(expected == before, "nothing is written for nothing");
  const Outputs outputs(memory, params);
  outputs.require_nothing_else_written(before);
  const int64_t count = params.num_batches * params.num_tokens;
  const int64_t cut = input.between(0, count);
  for (const Backend* one : all_backends()) {
    restore(memory, before);
    if (cut < count) one->rotate(params, cut, count);
    if (cut > 0) one->rotate(params, 0, cut);
    outputs.require_nothing_else_written(before);
    if (outputs.are_apart()) outputs.require_same(expected);
  }
}

// Slices that reach outside are refused, or empty.
void require_slices_inside(Input& input, const Params& params) {
  const int64_t first = input.integer();
  const int64_t last = input.integer();
  const int64_t count = params.num_batches * params.num_tokens;
  const bool is_empty = touches_nothing(params);
  if (!is_empty && first >= 0 && last <= count && first < last) return;  // as below
  const bool outside = !is_empty && (first < 0 || last > count);
  require(run_cpu(params, first, last) == (outside ? Status::kExtent : Status::kSuccess),
          "a slice outside is refused");
}

void run(Input& input) {
  Params params = draw_params(input, {64, 5});
  Memory memory;
  const bool attached = memory.attach(input, params);
  if (!attached) draw_fake_addresses(input, params);
  spoil(input, params);
  const std::vector<Status> reasons = reasons_to_refuse(params);
  if (!reasons.empty()) return require_refused(params, reasons);
  require_slices_inside(input, params);
  if (attached) run_everywhere(input, params, memory);
}

}  // namespace
}  // namespace rope::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rope::fuzz::Input input(data, size);
  rope::fuzz::run(input);
  return 0;
}
