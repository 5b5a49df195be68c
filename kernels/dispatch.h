// From the run-time facts of a plan to the template arguments of rotate_thread, without macros.
// The list of kernels that exist is here and nowhere else: for cuda/ and the executor.
#pragma once

#include <rope/params.h>

#include "pairing.h"
#include "plan.h"

namespace rope {

// The template arguments of one kernel, besides the data type.
template <class PairsType, int kBytesValue, int kHeadsValue, Source kSourceValue>
struct Variant {
  using Pairs = PairsType;
  static constexpr int kBytes = kBytesValue;
  static constexpr int kHeads = kHeadsValue;
  static constexpr Source kSource = kSourceValue;
};

// 16 bytes; five heads in kernels of common calls alone.
template <class Pairs, Source kSource, class Visitor>
auto dispatch_heads(const Plan& plan, Visitor&& visit) {
  if constexpr (kSource != Source::kGeneral) {
    if (plan.heads_per_thread == 5) return visit(Variant<Pairs, 16, 5, kSource>());
  }
  if (plan.heads_per_thread == 4) return visit(Variant<Pairs, 16, 4, kSource>());
  if (plan.heads_per_thread == 2) return visit(Variant<Pairs, 16, 2, kSource>());
  return visit(Variant<Pairs, 16, 1, kSource>());
}

// Kernels that serve common calls: 16 bytes and, in machine code for sm_100 or newer, 32.
template <class Pairs, Source kSource, class Visitor>
auto dispatch_common(const Plan& plan, Visitor&& visit) {
  if (plan.vector_bytes == 16) return dispatch_heads<Pairs, kSource>(plan, visit);
  if (plan.heads_per_thread == 2) return visit(Variant<Pairs, 32, 2, kSource>());
  return visit(Variant<Pairs, 32, 1, kSource>());
}

// Kernels that serve every call.
template <class Scalar, class Pairs, class Visitor>
auto dispatch_general(const Plan& plan, Visitor&& visit) {
  constexpr Source kSource = Source::kGeneral;
  if (plan.vector_bytes == 16) return dispatch_heads<Pairs, kSource>(plan, visit);
  if (plan.vector_bytes == 8) return visit(Variant<Pairs, 8, 1, kSource>());
  if constexpr (sizeof(Scalar) == 2) {
    if (plan.vector_bytes == 2) return visit(Variant<Pairs, 2, 1, kSource>());
  }
  return visit(Variant<Pairs, 4, 1, kSource>());
}

template <class Scalar, class Pairs, class Visitor>
auto dispatch_source(const Plan& plan, Visitor&& visit) {
  switch (plan.source) {
    case Source::kTable:
      return dispatch_common<Pairs, Source::kTable>(plan, visit);
    case Source::kComputed:
      return dispatch_common<Pairs, Source::kComputed>(plan, visit);
    default:
      return dispatch_general<Scalar, Pairs>(plan, visit);
  }
}

// Calls visit with the Variant that the plan asks for, and returns what it returns.
template <class Scalar, class Visitor>
auto dispatch(const Params& params, const Plan& plan, Visitor&& visit) {
  return params.pairing == Pairing::kInterleaved ? dispatch_source<Scalar, Interleaved>(plan, visit)
                                                 : dispatch_source<Scalar, Split>(plan, visit);
}

}  // namespace rope
