// Draws Params, and judges them by the contract.
#include "drawn_params.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <type_traits>

namespace rope::fuzz {
namespace {

using Wide = __int128;

class Drawer {
 public:
  Drawer(Input& input, const Wildness& wildness) : input_(input), wildness_(wildness) {}

  bool is_wild() { return input_.one_in(wildness_.one_in); }

  int64_t extent(int64_t least) {
    return is_wild() ? input_.integer() : input_.between(least, wildness_.most);
  }
  int64_t stride() { return is_wild() ? input_.integer() : input_.between(-24, 230); }
  Strides strides() {
    const int64_t batch = stride();
    const int64_t token = stride();
    return {batch, token, stride()};
  }
  template <class Enumeration>
  Enumeration one_of(int64_t count) {
    const int64_t value = is_wild() ? input_.integer() : input_.between(0, count - 1);
    return static_cast<Enumeration>(value);
  }
  // Often a whole number of registers, which take another path than the rest of a row.
  int32_t rotary_dim() {
    if (is_wild()) return static_cast<int32_t>(input_.integer());
    const int64_t kind = input_.between(0, 7);
    if (kind < 4) return static_cast<int32_t>(2 * input_.between(1, 40));
    return static_cast<int32_t>(kind < 7 ? 32 * input_.between(1, 5) : 2 * input_.between(1, 512));
  }

 private:
  Input& input_;
  const Wildness& wildness_;
};

void draw_heads(Drawer& draw, Input& input, int64_t least, Heads& heads) {
  heads.num_heads = draw.extent(least);
  heads.in_stride = draw.strides();
  heads.out_stride = input.one_in(2) ? draw.strides() : heads.in_stride;
}

void draw_positions(Drawer& draw, Input& input, Params& params) {
  params.num_axes = draw.is_wild() ? static_cast<int32_t>(input.integer())
                                   : static_cast<int32_t>(input.between(1, kMaxAxes));
  for (Axis& axis : params.axes) {
    axis.type = draw.one_of<Integer>(2);
    axis.stride_batch = draw.stride();
    axis.stride_token = draw.stride();
    axis.skip_negative = input.one_in(4);
  }
  for (IntegerArray* array : {&params.offsets, &params.cu_seqlens}) {
    array->type = draw.one_of<Integer>(2);
    array->stride = draw.stride();
  }
  if (!input.one_in(3)) return;
  params.num_sequences = draw.extent(0);
  if (!draw.is_wild()) params.num_batches = 1;  // else there are none
}

bool is_one_of(int64_t value, int64_t count) {
  return value >= 0 && value < count;
}

bool is_multiple(const void* address, int64_t size) {
  return reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(size) == 0;
}

int64_t bytes_of(Dtype dtype) {
  return dtype == Dtype::kFloat32 ? 4 : 2;
}

int64_t bytes_of(Integer type) {
  return type == Integer::kInt32 ? 4 : 8;
}

bool fits_63_bits(Wide value) {
  return value <= kMost;
}

// What holds for every call, one without elements too.
std::vector<Status> bad_shape(const Params& p) {
  std::vector<Status> reasons;
  if (p.size != sizeof(Params)) reasons.push_back(Status::kParamsSize);
  if (!is_one_of(static_cast<int32_t>(p.dtype), 3)) reasons.push_back(Status::kEnumeration);
  if (!is_one_of(static_cast<int32_t>(p.pairing), 2)) reasons.push_back(Status::kEnumeration);
  const bool wide = p.rotary_dim < 2 || p.rotary_dim > kMaxRotaryDim;
  if (wide || (p.rotary_dim & 1) != 0) reasons.push_back(Status::kRotaryDim);
  const int64_t extents[] = {p.num_batches, p.num_tokens,    p.q.num_heads,
                             p.k.num_heads, p.num_sequences, p.table.num_rows};
  const bool negative =
      std::any_of(std::begin(extents), std::end(extents), [](int64_t n) { return n < 0; });
  if (negative || !fits_63_bits(Wide{p.num_batches} * p.num_tokens) ||
      !fits_63_bits(Wide{p.q.num_heads} + p.k.num_heads) ||
      (p.num_sequences > 0 && p.num_batches > 1)) {
    reasons.push_back(Status::kExtent);
  }
  return reasons;
}

void judge_heads(const Heads& heads, Dtype dtype, std::vector<Status>& reasons) {
  if (heads.num_heads == 0) return;
  for (const void* address : {heads.in, static_cast<const void*>(heads.out)}) {
    if (address == nullptr) reasons.push_back(Status::kNullPointer);
    if (!is_multiple(address, bytes_of(dtype))) reasons.push_back(Status::kAlignment);
  }
}

void judge_integers(const void* address, Integer type, std::vector<Status>& reasons) {
  if (!is_one_of(static_cast<int32_t>(type), 2)) reasons.push_back(Status::kEnumeration);
  if (!is_multiple(address, bytes_of(type))) reasons.push_back(Status::kAlignment);
}

void judge_angles(const Params& p, std::vector<Status>& reasons) {
  if (!is_multiple(p.frequencies.turns, 8)) reasons.push_back(Status::kAlignment);
  if (p.table.cos == nullptr) {
    if (p.frequencies.turns == nullptr) reasons.push_back(Status::kNoAngles);
    return;
  }
  if (!is_one_of(static_cast<int32_t>(p.table.dtype), 3)) reasons.push_back(Status::kEnumeration);
  if (p.table.sin == nullptr) reasons.push_back(Status::kNullPointer);
  for (const void* address : {p.table.cos, p.table.sin}) {
    if (!is_multiple(address, bytes_of(p.table.dtype))) reasons.push_back(Status::kAlignment);
  }
}

}  // namespace

Params draw_params(Input& input, const Wildness& wildness) {
  Drawer draw(input, wildness);
  Params params;
  if (draw.is_wild()) params.size = input.raw<uint16_t>();
  params.dtype = draw.one_of<Dtype>(3);
  params.pairing = draw.one_of<Pairing>(2);
  params.rotary_dim = draw.rotary_dim();
  params.inverse = input.one_in(2);
  params.num_batches = draw.extent(1);
  params.num_tokens = draw.extent(1);
  draw_heads(draw, input, 1, params.q);
  draw_heads(draw, input, 0, params.k);
  draw_positions(draw, input, params);
  params.frequencies.stride_axis = draw.stride();
  params.frequencies.stride_head = input.one_in(3) ? draw.stride() : 0;
  params.frequencies.may_be_invalid = input.one_in(2);
  params.frequencies.attention_factor = static_cast<float>(input.between(1, 40)) / 16.0f;
  params.table.dtype = draw.one_of<Dtype>(3);
  params.table.per_token = input.one_in(3);
  params.table.num_rows = draw.extent(0);
  params.table.stride = draw.strides();
  if (input.one_in(2)) params.table.stride.head = 0;
  params.table.stride_pair = input.one_in(3) ? draw.stride() : 1;
  return params;
}

void draw_fake_addresses(Input& input, Params& params) {
  const auto draw = [&input](auto*& address) {
    uint64_t number = input.raw<uint32_t>();
    const int64_t kind = input.between(0, 15);
    if (kind > 1) number = number * 16 + 16;  // aligned for every type
    if (kind == 2) number = 0;
    if (kind == 3) number += uint64_t{1} << input.between(1, 63);
    address = reinterpret_cast<std::remove_reference_t<decltype(address)>>(
        static_cast<uintptr_t>(number));
  };
  for (Heads* heads : {&params.q, &params.k}) {
    draw(heads->in);
    draw(heads->out);
  }
  for (Axis& axis : params.axes) draw(axis.positions);
  draw(params.offsets.data);
  draw(params.cu_seqlens.data);
  draw(params.frequencies.turns);
  draw(params.table.cos);
  draw(params.table.sin);
}

bool touches_nothing(const Params& p) {
  return p.num_batches == 0 || p.num_tokens == 0 || (p.q.num_heads == 0 && p.k.num_heads == 0);
}

bool has_sound_shape(const Params& params) {
  return bad_shape(params).empty() && params.num_axes >= 1 && params.num_axes <= kMaxAxes;
}

std::vector<Status> reasons_to_refuse(const Params& p) {
  std::vector<Status> reasons = bad_shape(p);
  if (!reasons.empty() || touches_nothing(p)) return reasons;
  judge_heads(p.q, p.dtype, reasons);
  judge_heads(p.k, p.dtype, reasons);
  if (p.num_axes < 1 || p.num_axes > kMaxAxes) reasons.push_back(Status::kAxes);
  for (int32_t a = 0; a < p.num_axes && a < kMaxAxes; ++a) {
    judge_integers(p.axes[a].positions, p.axes[a].type, reasons);
  }
  judge_integers(p.offsets.data, p.offsets.type, reasons);
  judge_integers(p.cu_seqlens.data, p.cu_seqlens.type, reasons);
  if (p.num_sequences > 0 && p.cu_seqlens.data == nullptr) reasons.push_back(Status::kNullPointer);
  judge_angles(p, reasons);
  return reasons;
}

}  // namespace rope::fuzz
