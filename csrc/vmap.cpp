// The ops under torch.func.vmap: all examples in one call where they can share one, else a call for
// each. In C++, so that nested maps and batched gradients get here as well.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <torch/library.h>

#include <array>
#include <functional>
#include <tuple>
#include <utility>
#include <vector>

#include <rope/rope.h>

#include "backward.h"
#include "checks.h"
#include "vmap_fold.h"

namespace rope::glue {
namespace {

// What one call returns: a tensor for each rotated one, none where they are written.
using Results = std::vector<at::Tensor>;

// One op of the keywords that all rotating ops share.
struct Op {
  const char* name;
  bool is_written;
  Options options;  // without its tensors
  std::function<Results(const Tensors& tensors, const Options& options)> run;

  Results operator()(const Tensors& tensors, Options own) const {
    own.inv_freq = tensors[kInvFreq];
    own.cos_sin = tensors[kCosSin];
    own.cos = tensors[kCos];
    own.sin = tensors[kSin];
    own.offsets = tensors[kOffsets];
    own.cu_seqlens = tensors[kCuSeqlens];
    return run(tensors, own);
  }
};

// Results with the examples first.
Results call_each(const Op& op, const MappedCall& call, int64_t examples) {
  std::vector<Results> rows;
  for (int64_t i = 0; i < examples; ++i) {
    Tensors tensors;
    for (size_t slot = 0; slot < kNumSlots; ++slot) tensors[slot] = example_of(call[slot], i);
    rows.push_back(op(tensors, op.options));
  }
  Results results;
  for (size_t column = 0; column < rows.front().size(); ++column) {
    std::vector<at::Tensor> parts;
    for (Results& row : rows) parts.push_back(std::move(row[column]));
    results.push_back(at::stack(parts));
  }
  return results;
}

Results call_folded(const Op& op, const Folded& folded, const c10::SymInt& examples) {
  Results results = op(folded.tensors, folded.options);
  for (at::Tensor& result : results) result = unfold(folded, result, examples);
  return results;
}

// What is written must be mapped: what is shared cannot hold a result for each example.
void check_written(const char* op, const char* name, const Mapped& mapped) {
  TORCH_CHECK(mapped.is_mapped(), op, ": ", name,
              " is written and must be mapped where vmap maps another argument; map it too, or "
              "rotate it in a call of its own");
  check_examples(op, name, *mapped.value);
}

// What is only read is repeated, and seen with a last stride of 1, whichever dimension was mapped.
Mapped readable(const Mapped& mapped, const c10::SymInt& examples) {
  return {glue::readable(with_examples(mapped, 0, examples)), 0};
}

Results empty_results(const Op& op, const MappedCall& call) {
  Results results;
  for (const Slot slot : {kQ, kK}) {
    if (call[slot].is_given() && !op.is_written) results.push_back(call[slot].value->clone());
  }
  return results;
}

Results call_all(const Op& op, const Map<kNumSlots>& map) {
  MappedCall call = map.mapped;
  const c10::SymInt& examples = *map.examples;
  for (const Slot slot : {kQ, kK}) {
    if (call[slot].is_given() && !op.is_written) call[slot] = readable(call[slot], examples);
  }
  if (examples == 0) return empty_results(op, call);
  if (const auto folded = fold(call, op.options, examples, op.is_written)) {
    try {
      return call_folded(op, *folded, examples);
    } catch (const c10::Error&) {
      // It speaks of extents that the caller has not seen; an example's own error is wanted.
    }
  }
  return call_each(op, call, examples.guard_int(__FILE__, __LINE__));
}

Options scalars_of(const Keywords& keywords) {
  Options options = options_of(keywords);
  for (auto* tensor : {&options.inv_freq, &options.cos_sin, &options.cos, &options.sin,
                       &options.offsets, &options.cu_seqlens}) {
    tensor->reset();
  }
  return options;
}

Tensors tensors_of(const at::Tensor& q, const OptionalTensor& k, const OptionalTensor& pos,
                   const Keywords& keywords) {
  return {q,
          k,
          pos,
          keywords.inv_freq,
          keywords.cos_sin,
          keywords.cos,
          keywords.sin,
          keywords.offsets,
          keywords.cu_seqlens};
}

Results run_apply(const Tensors& tensors, const Options& options) {
  apply(*tensors[kQ], tensors[kK], tensors[kPos], options);
  return {};
}

Results run_rotate(const Tensors& tensors, const Options& options) {
  return {rotate(*tensors[kQ], tensors[kPos], options)};
}

Results run_rotate_qk(const Tensors& tensors, const Options& options) {
  auto [q, k] = rotate_qk(*tensors[kQ], *tensors[kK], tensors[kPos], options);
  return {std::move(q), std::move(k)};
}

// Kernels with the ops' own signatures; Rest are the keywords.
template <class Signature>
struct ApplyBatched;

template <class... Rest>
struct ApplyBatched<void(const at::Tensor&, const OptionalTensor&, const OptionalTensor&,
                         Rest...)> {
  static void kernel(const at::Tensor& q, const OptionalTensor& k, const OptionalTensor& pos,
                     Rest... rest) {
    const Op op{"rope::apply", true, scalars_of(Keywords{rest...}), &run_apply};
    const Map map(op.name, tensors_of(q, k, pos, Keywords{rest...}));
    if (!map.examples) return detail::apply_op().call(q, k, pos, rest...);
    check_written(op.name, "q", map.mapped[kQ]);
    if (map.mapped[kK].is_given()) check_written(op.name, "k", map.mapped[kK]);
    call_all(op, map);
  }
};

template <class Signature>
struct RotateBatched;

template <class... Rest>
struct RotateBatched<at::Tensor(const at::Tensor&, const OptionalTensor&, Rest...)> {
  static at::Tensor kernel(const at::Tensor& x, const OptionalTensor& pos, Rest... rest) {
    const Op op{"rope::rotate", false, scalars_of(Keywords{rest...}), &run_rotate};
    const Map map(op.name, tensors_of(x, {}, pos, Keywords{rest...}));
    if (!map.examples) return detail::rotate_op().call(x, pos, rest...);
    return map.wrapped(call_all(op, map)[0]);
  }
};

template <class Signature>
struct RotateQkBatched;

template <class... Rest>
struct RotateQkBatched<std::tuple<at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&,
                                                          const OptionalTensor&, Rest...)> {
  static std::tuple<at::Tensor, at::Tensor> kernel(const at::Tensor& q, const at::Tensor& k,
                                                   const OptionalTensor& pos, Rest... rest) {
    const Op op{"rope::rotate_qk", false, scalars_of(Keywords{rest...}), &run_rotate_qk};
    const Map map(op.name, tensors_of(q, k, pos, Keywords{rest...}));
    if (!map.examples) return detail::rotate_qk_op().call(q, k, pos, rest...);
    const Results results = call_all(op, map);
    return {map.wrapped(results[0]), map.wrapped(results[1])};
  }
};

template <class Signature>
struct ApplyQkvBatched;

template <class... Rest>
struct ApplyQkvBatched<void(const at::Tensor&, const OptionalTensor&, int64_t, int64_t, Rest...)> {
  static void kernel(const at::Tensor& qkv, const OptionalTensor& pos, int64_t num_heads_q,
                     int64_t num_heads_k, Rest... rest) {
    const auto run = [&](const Tensors& tensors, const Options& options) -> Results {
      apply_qkv(*tensors[kQ], tensors[kPos], num_heads_q, num_heads_k, options);
      return {};
    };
    const Op op{"rope::apply_qkv", true, scalars_of(Keywords{rest...}), run};
    const Map map(op.name, tensors_of(qkv, {}, pos, Keywords{rest...}));
    if (!map.examples) {
      return detail::apply_qkv_op().call(qkv, pos, num_heads_q, num_heads_k, rest...);
    }
    check_written(op.name, "qkv", map.mapped[kQ]);
    call_all(op, map);
  }
};

void rerotate_batched(const at::Tensor& k, const at::Tensor& old_pos, const at::Tensor& new_pos,
                      const OptionalTensor& old_inv_freq, const OptionalTensor& new_inv_freq,
                      double base, double scale, int64_t rotary_dim, int64_t rotary_offset,
                      bool interleaved, std::string_view layout, bool skip_negative) {
  constexpr auto kOp = "rope::rerotate";
  const Map map(kOp,
                std::array<OptionalTensor, 5>{k, old_pos, new_pos, old_inv_freq, new_inv_freq});
  const auto run = [&](const at::Tensor& own, const at::Tensor& from, const at::Tensor& to,
                       const OptionalTensor& old_own, const OptionalTensor& new_own) {
    detail::rerotate_op().call(own, from, to, old_own, new_own, base, scale, rotary_dim,
                               rotary_offset, interleaved, layout, skip_negative);
  };
  if (!map.examples) return run(k, old_pos, new_pos, old_inv_freq, new_inv_freq);
  check_written(kOp, "k", map.mapped[0]);
  const int64_t count = map.examples->guard_int(__FILE__, __LINE__);
  for (int64_t i = 0; i < count; ++i) {
    const auto own = [&](size_t argument) { return example_of(map.mapped[argument], i); };
    run(*own(0), *own(1), *own(2), own(3), own(4));
  }
}

at::Tensor cos_sin_table_batched(const at::Tensor& inv_freq, int64_t rows, int64_t start,
                                 double attention_factor) {
  const Map map("rope::cos_sin_table", std::array<OptionalTensor, 1>{inv_freq});
  if (!map.examples) return cos_sin_table(inv_freq, rows, start, attention_factor);
  if (*map.examples == 0) {
    return map.wrapped(at::empty_symint({0, rows, inv_freq.sym_sizes().back() * 2},
                                        map.mapped[0].value->options().dtype(at::kFloat)));
  }
  std::vector<at::Tensor> tables;
  for (const at::Tensor& own : map.mapped[0].value->unbind(*map.mapped[0].dim)) {
    tables.push_back(cos_sin_table(own, rows, start, attention_factor));
  }
  return map.wrapped(at::stack(tables));
}

at::Tensor turns_batched(const at::Tensor& inv_freq) {
  const Map map("rope::turns", std::array<OptionalTensor, 1>{inv_freq});
  if (!map.examples) return turns(inv_freq);
  return map.wrapped(turns(map.mapped[0].value->movedim(*map.mapped[0].dim, 0)));
}

}  // namespace

TORCH_LIBRARY_IMPL(rope, FuncTorchBatched, m) {
  m.impl("apply", &ApplyBatched<detail::ApplySignature>::kernel);
  m.impl("rotate", &RotateBatched<detail::RotateSignature>::kernel);
  m.impl("rotate_qk", &RotateQkBatched<detail::RotateQkSignature>::kernel);
  m.impl("apply_qkv", &ApplyQkvBatched<detail::ApplyQkvSignature>::kernel);
  m.impl("rerotate", &rerotate_batched);
  m.impl("cos_sin_table", &cos_sin_table_batched);
  m.impl("turns", &turns_batched);
}

}  // namespace rope::glue
