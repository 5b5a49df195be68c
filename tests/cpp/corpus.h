// The calls on which backends are compared: what a case is, what it is called, and the lists of
// them. For the executor, the oracle, the CPU backends and the GPU; call.h makes a case concrete.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rope/params.h>

namespace rope::test {

inline constexpr Dtype kDtypes[] = {Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16};
inline constexpr Pairing kPairings[] = {Pairing::kSplit, Pairing::kInterleaved};

enum class Angles {
  kComputed,
  kInvalidTurns,     // some frequencies were not numbers
  kPerHead,          // own frequencies for each head
  kTable,            // [cos | sin] in float32, a row for every usual position
  kPaddedTable,      // the same with rows that 16 bytes do not divide
  kSixteenBitTable,  // in q's type, or Half
  kStridedTable,     // cos and sin apart, every other element
  kShortTable,       // positions beyond it are computed
  kForeignTable,     // positions beyond it are NaN
  kEmptyTable,       // no rows at all
  kPerToken,
  kPerTokenAndHead,
};

enum class Positions {
  kCounted,
  kInt32,
  kInt64,
  kShared,           // one row for all batches
  kStrided,          // gaps between tokens and between batches
  kAnyInt64,         // extremes included
  kSkipping,         // negative ones leave their tokens alone
  kThreeAxes,        //
  kEightAxes,        // both integer types, two of the axes skip
  kCountedAndGiven,  // the second axis is an array
};

enum class Sequences {
  kBatches,
  kOffsets,            // int64
  kStridedOffsets,     // int32, every third element
  kRagged,             // int32 cu_seqlens with empty sequences; one batch
  kRaggedWithOffsets,  // int64, every other element; one batch
};

enum class Layout { kContiguous, kPacked, kTransposed };

struct Case {
  Dtype dtype = Dtype::kBFloat16;
  Pairing pairing = Pairing::kSplit;
  int32_t rotary_dim = 32;
  int32_t first = 0;  // elements in front of the first rotated one: moves it off 256 bytes
  int64_t batches = 2;
  int64_t tokens = 5;
  int64_t q_heads = 3;
  int64_t k_heads = 2;
  bool crowded = false;  // for a GPU so small that a thread takes as much as it can
  bool wide = false;     // for machine code that has accesses of 32 bytes
  Layout layout = Layout::kContiguous;
  bool in_place = true;
  Angles angles = Angles::kComputed;
  Positions positions = Positions::kInt64;
  Sequences sequences = Sequences::kBatches;
  bool inverse = false;
  float attention_factor = 1.0f;
  bool any_bits = false;  // data may be NaN, infinite, subnormal
  uint64_t seed = 1;
};

// Says everything that is not as above; letters, digits and underscores.
std::string name_of(const Case& spec);

// The same for GoogleTest, from a testing::TestParamInfo<Case>.
struct CaseName {
  template <class Info>
  std::string operator()(const Info& info) const {
    return name_of(info.param);
  }
};
constexpr CaseName case_name;

// The case that has the same numbers in the same tensors, contiguous and aligned, and so the same
// results: where things lie, how wide integers are and how many heads a thread takes are left out.
Case content_of(const Case& spec);

// Every kernel that dispatch.h lists, each with a computed angle and with a table.
std::vector<Case> kernel_cases();
// Every source of angles, in every type, pairing and direction.
std::vector<Case> angle_cases();
// Every form of positions with every kind of sequence.
std::vector<Case> position_cases();
// Layouts, widths and extents, one of them beyond a grid's limit.
std::vector<Case> layout_cases();
// Widths of rotation that are common or odd, computed at any position and from a 16-bit table.
std::vector<Case> content_cases();
// Everything at random, seeded.
std::vector<Case> random_cases();

// All of the above, without duplicates.
std::vector<Case> corpus();

}  // namespace rope::test
