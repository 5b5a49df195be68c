// The memory that a drawn call reaches, and nothing beside it.
#include <algorithm>
#include <cstring>
#include <initializer_list>

#include "drawn_params.h"

namespace rope::fuzz {
namespace {

using Wide = __int128;

// Of one array, and of what a call goes through: some thousand calls a second.
constexpr Wide kMostBytes = 1 << 14;
constexpr Wide kMostTokens = 256;
constexpr Wide kMostComponents = 1 << 13;

// What a position is: small enough for a table, or anything.
void draw_integers(Input& input, Integer type, void* data, size_t size) {
  const bool small = !input.one_in(3);
  input.fill(data, size);
  const size_t item = type == Integer::kInt32 ? 4 : 8;
  for (size_t i = 0; i + item <= size; i += item) {
    auto* bytes = static_cast<uint8_t*>(data) + i;
    const int64_t value = small ? static_cast<int64_t>(bytes[0] % 12) - 2 : input.integer();
    std::memcpy(bytes, &value, item);  // the lower half for int32: this machine's order
  }
}

bool is_quick(const Params& p) {
  const Wide tokens = Wide{p.num_batches} * p.num_tokens;
  const Wide heads = Wide{p.q.num_heads} + p.k.num_heads;
  return tokens <= kMostTokens && heads <= kMostTokens &&
         tokens * heads * p.rotary_dim <= kMostComponents;
}

size_t item_size(Dtype dtype) {
  return dtype == Dtype::kFloat32 ? 4 : 2;
}

size_t item_size(Integer type) {
  return type == Integer::kInt32 ? 4 : 8;
}

}  // namespace

// Reads outside to either side are then reads outside the allocation. In half of the calls some
// items come before the first, so that addresses are not only multiples of 64.
template <class T>
bool Memory::add(Input& input, std::initializer_list<Dim> dims, size_t item_size, T*& address) {
  bool is_empty = false;
  for (const Dim& dim : dims) is_empty |= dim.count == 0;
  Wide low = 0;
  Wide high = 0;
  for (const Dim& dim : dims) {
    const Wide reach = is_empty ? 0 : Wide{dim.count - 1} * dim.stride;
    (reach < 0 ? low : high) += reach;
  }
  if (high - low >= kMostBytes / static_cast<Wide>(item_size)) return false;
  const size_t before = input.one_in(2) ? static_cast<size_t>(input.between(0, 15)) * item_size : 0;
  const size_t size = is_empty ? 0 : static_cast<size_t>(high - low + 1) * item_size;
  void* start = nullptr;
  require(posix_memalign(&start, 64, before + size) == 0, "memory for a small call");
  blocks_.push_back({before + size, {static_cast<uint8_t*>(start), &std::free}});
  input.fill(start, before + size);
  const size_t first = is_empty ? before : before + static_cast<size_t>(-low) * item_size;
  address = reinterpret_cast<T*>(static_cast<uint8_t*>(start) + first);
  return true;
}

bool Memory::add_heads(Input& input, const Params& p, Heads& heads) {
  const size_t item = item_size(p.dtype);
  const auto add_one = [&](const Strides& stride, auto*& address) {
    return add(input,
               {{p.num_batches, stride.batch},
                {p.num_tokens, stride.token},
                {heads.num_heads, stride.head},
                {p.rotary_dim, 1}},
               item, address);
  };
  if (heads.num_heads == 0) return true;
  if (!add_one(heads.out_stride, heads.out)) return false;
  const bool same_strides = std::memcmp(&heads.in_stride, &heads.out_stride, sizeof(Strides)) == 0;
  if (same_strides && input.one_in(2)) {
    heads.in = heads.out;
    return true;
  }
  return add_one(heads.in_stride, heads.in);
}

bool Memory::add_integers(Input& input, int64_t count, IntegerArray& array) {
  if (!add(input, {{count, array.stride}}, item_size(array.type), array.data)) return false;
  Block& block = blocks_.back();
  draw_integers(input, array.type, block.bytes.get(), block.size);
  return true;
}

bool Memory::add_angles(Input& input, Params& p) {
  const int64_t heads = std::max(p.q.num_heads, p.k.num_heads);
  const bool has_table = input.one_in(2);
  if (!has_table || input.one_in(2)) {
    const int64_t own = p.frequencies.stride_head == 0 ? 1 : heads;
    const bool added = add(input,
                           {{p.num_axes, p.frequencies.stride_axis},
                            {own, p.frequencies.stride_head},
                            {p.rotary_dim / 2, 1}},
                           sizeof(uint64_t), p.frequencies.turns);
    if (!added) return false;
  }
  if (!has_table) return true;
  const Table& t = p.table;
  const auto add_one = [&](const void*& address) {
    const Dim batches = {t.per_token ? p.num_batches : 1, t.stride.batch};
    const Dim rows = {t.per_token ? p.num_tokens : t.num_rows, t.stride.token};
    return add(input, {batches, rows, {heads, t.stride.head}, {p.rotary_dim / 2, t.stride_pair}},
               item_size(t.dtype), address);
  };
  return add_one(p.table.cos) && add_one(p.table.sin);
}

bool Memory::attach(Input& input, Params& params) {
  if (!has_sound_shape(params) || !is_quick(params)) return false;
  if (!add_heads(input, params, params.q) || !add_heads(input, params, params.k)) return false;
  for (int32_t a = 0; a < params.num_axes; ++a) {
    Axis& axis = params.axes[a];
    if (input.one_in(3)) continue;  // counted
    const bool added = add(
        input, {{params.num_batches, axis.stride_batch}, {params.num_tokens, axis.stride_token}},
        item_size(axis.type), axis.positions);
    if (!added) return false;
    Block& block = blocks_.back();
    draw_integers(input, axis.type, block.bytes.get(), block.size);
  }
  const int64_t sequences = params.num_sequences > 0 ? params.num_sequences : params.num_batches;
  if (input.one_in(2) && !add_integers(input, sequences, params.offsets)) return false;
  const bool is_ragged = params.num_sequences > 0 && params.num_sequences < kMost;
  if (is_ragged && !add_integers(input, params.num_sequences + 1, params.cu_seqlens)) return false;
  return add_angles(input, params);
}

}  // namespace rope::fuzz
