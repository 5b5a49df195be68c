// Params as nobody sane would fill them: extents, strides and enumerations of any value, and the
// memory such a call needs. For plan_fuzz.cpp and rotation_fuzz.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <vector>

#include <rope/kernels.h>

#include "input.h"

namespace rope::fuzz {

// Of which each number is: usual, and one in `wildness` of them anything at all.
struct Wildness {
  int64_t one_in;
  int64_t most;  // a usual extent
};

// All but the addresses.
Params draw_params(Input& input, const Wildness& wildness);

// Any addresses, sometimes none, mostly aligned; nothing lies there.
void draw_fake_addresses(Input& input, Params& params);

// Whether the call has no element at all.
bool touches_nothing(const Params& params);

// Whether extents, enumerations and the number of axes are what a call may have, whatever its
// addresses are.
bool has_sound_shape(const Params& params);

// What the contract of params.h and kernels.h refuses this call for, spelt out without the checks'
// own code, in no order; empty for a call that has to be accepted.
std::vector<Status> reasons_to_refuse(const Params& params);

// An allocation of exactly what an array reaches from its first item, to either side.
struct Block {
  size_t size;
  std::unique_ptr<uint8_t, decltype(&std::free)> bytes;
};

// The memory of one call.
class Memory {
 public:
  // Points params at memory that holds just what its extents and strides reach, filled from the
  // input. False where that would be too much, or where the shape is not sound; the addresses are
  // then no good.
  bool attach(Input& input, Params& params);

  const std::vector<Block>& blocks() const { return blocks_; }

 private:
  struct Dim {
    int64_t count;
    int64_t stride;
  };

  template <class T>
  bool add(Input& input, std::initializer_list<Dim> dims, size_t item_size, T*& address);
  bool add_heads(Input& input, const Params& params, Heads& heads);
  bool add_integers(Input& input, int64_t count, IntegerArray& array);
  bool add_angles(Input& input, Params& params);

  std::vector<Block> blocks_;
};

}  // namespace rope::fuzz
