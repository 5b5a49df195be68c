// The lists of cases, and their names.
#include "corpus.h"

#include <initializer_list>
#include <random>
#include <set>

namespace rope::test {
namespace {

constexpr int kNumAngles = 12;
constexpr int kNumPositions = 10;
constexpr int kNumSequences = 5;
constexpr int kNumLayouts = 3;

constexpr const char* kDtypeNames[] = {"f32", "f16", "bf16"};
constexpr const char* kPairingNames[] = {"split", "interleaved"};
constexpr const char* kAngleNames[kNumAngles] = {
    "computed",     "invalid",    "perhead",      "table",      "paddedtable", "table16",
    "stridedtable", "shorttable", "foreigntable", "emptytable", "pertoken",    "pertokenhead"};
constexpr const char* kPositionNames[kNumPositions] = {
    "counted",  "int32",    "int64", "shared", "strided",
    "anyint64", "skipping", "axes3", "axes8",  "countedandgiven"};
constexpr const char* kSequenceNames[kNumSequences] = {"", "_offsets", "_stridedoffsets", "_ragged",
                                                       "_raggedoffsets"};
constexpr const char* kLayoutNames[kNumLayouts] = {"", "_packed", "_transposed"};

template <class Enum, size_t kSize>
const char* name_in(const char* const (&names)[kSize], Enum value) {
  return names[static_cast<size_t>(value)];
}

bool is_ragged(Sequences sequences) {
  return sequences == Sequences::kRagged || sequences == Sequences::kRaggedWithOffsets;
}

}  // namespace

std::string name_of(const Case& spec) {
  const auto number = [](const char* letter, int64_t value) {
    return letter + std::to_string(value);
  };
  std::string name = name_in(kDtypeNames, spec.dtype);
  name += std::string("_") + name_in(kPairingNames, spec.pairing);
  name += number("_r", spec.rotary_dim);
  if (spec.first != 0) name += number("at", spec.first);
  name += number("_b", spec.batches) + number("t", spec.tokens) + number("q", spec.q_heads) +
          number("k", spec.k_heads);
  if (spec.crowded) name += "_crowded";
  if (spec.wide) name += "_wide";
  name += name_in(kLayoutNames, spec.layout);
  name += spec.in_place ? "" : "_outofplace";
  name += std::string("_") + name_in(kAngleNames, spec.angles);
  name += std::string("_") + name_in(kPositionNames, spec.positions);
  name += name_in(kSequenceNames, spec.sequences);
  if (spec.inverse) name += "_inverse";
  if (spec.attention_factor != 1.0f) name += "_factor";
  if (spec.any_bits) name += "_anybits";
  if (spec.seed != 1) name += number("_seed", static_cast<int64_t>(spec.seed));
  return name;
}

Case content_of(const Case& spec) {
  Case content = spec;
  content.first = 0;
  content.crowded = false;
  content.wide = false;
  content.layout = Layout::kContiguous;
  content.in_place = true;
  if (spec.angles == Angles::kPaddedTable || spec.angles == Angles::kStridedTable) {
    content.angles = Angles::kTable;
  }
  if (spec.positions == Positions::kInt32 || spec.positions == Positions::kStrided) {
    content.positions = Positions::kInt64;
  }
  if (spec.sequences == Sequences::kStridedOffsets) content.sequences = Sequences::kOffsets;
  return content;
}

std::vector<Case> angle_cases() {
  std::vector<Case> cases;
  for (const Dtype dtype : kDtypes) {
    for (const Pairing pairing : kPairings) {
      for (int angles = 0; angles < kNumAngles; ++angles) {
        for (const bool inverse : {false, true}) {
          Case one;
          one.dtype = dtype;
          one.pairing = pairing;
          one.angles = static_cast<Angles>(angles);
          one.inverse = inverse;
          one.attention_factor = inverse ? 1.2079441f : 1.0f;
          one.in_place = inverse;
          one.any_bits = pairing == Pairing::kInterleaved;
          cases.push_back(one);
        }
      }
    }
  }
  return cases;
}

std::vector<Case> position_cases() {
  std::vector<Case> cases;
  for (int positions = 0; positions < kNumPositions; ++positions) {
    for (int sequences = 0; sequences < kNumSequences; ++sequences) {
      for (const Angles angles : {Angles::kComputed, Angles::kShortTable, Angles::kForeignTable}) {
        Case one;
        one.positions = static_cast<Positions>(positions);
        one.sequences = static_cast<Sequences>(sequences);
        one.angles = angles;
        one.batches = is_ragged(one.sequences) ? 1 : 3;
        one.tokens = 13;
        one.in_place = angles == Angles::kComputed;
        one.dtype = kDtypes[(positions + sequences) % 3];
        cases.push_back(one);
      }
    }
  }
  return cases;
}

std::vector<Case> layout_cases() {
  std::vector<Case> cases;
  for (const Dtype dtype : kDtypes) {
    for (int layout = 0; layout < kNumLayouts; ++layout) {
      for (const bool in_place : {false, true}) {
        for (const Positions positions : {Positions::kInt32, Positions::kSkipping}) {
          Case one;
          one.dtype = dtype;
          one.layout = static_cast<Layout>(layout);
          one.in_place = in_place;
          one.positions = positions;
          cases.push_back(one);
        }
      }
    }
  }
  for (const int32_t rotary_dim : {2, 4, 50, 80, 96, 128, 1022, 1024}) {
    for (const Dtype dtype : kDtypes) {
      Case one;
      one.dtype = dtype;
      one.rotary_dim = rotary_dim;
      one.tokens = 3;
      cases.push_back(one);
    }
  }
  const auto shaped = [&](int64_t batches, int64_t tokens, int64_t q_heads, int64_t k_heads) {
    Case one;
    one.batches = batches;
    one.tokens = tokens;
    one.q_heads = q_heads;
    one.k_heads = k_heads;
    cases.push_back(one);
    return &cases.back();
  };
  shaped(1, 1, 1, 0);
  shaped(1, 1, 0, 1);
  shaped(2, 5, 0, 4);
  shaped(2, 70, 7, 0);
  shaped(1, 9, 40, 8);
  shaped(90, 1, 3, 2);  // decode: batches become tokens
  shaped(90, 1, 3, 2)->crowded = true;
  shaped(90, 1, 3, 2)->positions = Positions::kStrided;
  shaped(90, 1, 3, 2)->angles = Angles::kPerTokenAndHead;
  shaped(90, 1, 3, 2)->positions = Positions::kCounted;
  shaped(90, 1, 3, 2)->sequences = Sequences::kOffsets;
  shaped(70000, 2, 1, 0)->rotary_dim = 2;
  return cases;
}

std::vector<Case> content_cases() {
  std::vector<Case> cases;
  for (const int32_t rotary_dim : {2, 6, 20, 24, 32, 50, 64, 96, 128, 256}) {
    for (const Dtype dtype : kDtypes) {
      for (const Pairing pairing : kPairings) {
        for (const Angles angles : {Angles::kComputed, Angles::kSixteenBitTable}) {
          Case one;
          one.dtype = dtype;
          one.pairing = pairing;
          one.rotary_dim = rotary_dim;
          one.angles = angles;
          const bool computed = angles == Angles::kComputed;
          one.positions = computed ? Positions::kAnyInt64 : Positions::kSkipping;
          one.tokens = 13;
          one.seed = static_cast<uint64_t>(rotary_dim);
          one.inverse = pairing == Pairing::kInterleaved;
          one.attention_factor = one.inverse ? 1.2079441f : 1.0f;
          cases.push_back(one);
        }
      }
    }
  }
  return cases;
}

std::vector<Case> random_cases() {
  constexpr uint64_t kCount = 200;
  std::vector<Case> cases;
  for (uint64_t seed = 2; seed < 2 + kCount; ++seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](uint64_t end) { return static_cast<int>(random() % end); };
    const auto one_in = [&](uint64_t count) { return random() % count == 0; };
    Case one;
    one.seed = seed;
    one.dtype = kDtypes[below(3)];
    one.pairing = kPairings[below(2)];
    one.rotary_dim = one_in(2) ? 16 * (1 + below(6)) : 2 * (1 + below(60));
    one.first = one_in(2) ? 0 : below(9);
    one.angles = static_cast<Angles>(below(kNumAngles));
    one.positions = static_cast<Positions>(below(kNumPositions));
    one.sequences = static_cast<Sequences>(below(kNumSequences));
    one.batches = is_ragged(one.sequences) ? 1 : 1 + below(4);
    one.tokens = one_in(4) ? 70 + below(10) : 1 + below(20);
    one.q_heads = one_in(8) ? 0 : 1 + below(8);
    one.k_heads = one_in(4) ? 0 : 1 + below(4);
    one.crowded = one_in(2);
    one.layout = static_cast<Layout>(below(kNumLayouts));
    one.in_place = one_in(2);
    one.inverse = one_in(2);
    one.attention_factor = one_in(2) ? 1.0f : 0.5f + static_cast<float>(below(100)) / 64;
    one.any_bits = one_in(3);
    cases.push_back(one);
  }
  return cases;
}

std::vector<Case> corpus() {
  std::vector<Case> all;
  std::set<std::string> names;
  for (const auto& cases : {kernel_cases(), angle_cases(), position_cases(), layout_cases(),
                            content_cases(), random_cases()}) {
    for (const Case& one : cases) {
      if (names.insert(name_of(one)).second) all.push_back(one);
    }
  }
  return all;
}

}  // namespace rope::test
