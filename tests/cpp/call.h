// A case made concrete: Params, and the memory they point to. The same case always gives the same
// bytes, so that two backends can each be given their own. For the tests that compare backends.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rope/params.h>

#include "block.h"
#include "corpus.h"

namespace rope::test {

struct Call {
  Params params;
  std::vector<Block> blocks;
};

// Outputs out of place are NaN until they are written; bytes between and around what a call may
// touch are random.
Call make_call(const Case& spec);

// Says where the two calls of one case differ, in any byte of any block, or nothing. The NaN of an
// output has any payload.
std::string first_difference(const Call& expected, const Call& got);

// Output bytes, out of place, that the checked memory saw no store to.
size_t count_missing_stores(const Call& call);

// Applies a function to each address in params: what moves a call to other memory.
template <class Function>
void for_each_address(Params& params, Function&& visit) {
  for (Heads* heads : {&params.q, &params.k}) {
    visit(heads->in);
    visit(heads->out);
  }
  for (Axis& axis : params.axes) visit(axis.positions);
  visit(params.offsets.data);
  visit(params.cu_seqlens.data);
  visit(params.frequencies.turns);
  visit(params.table.cos);
  visit(params.table.sin);
}

}  // namespace rope::test
