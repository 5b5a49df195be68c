// The ops without memory: meta tensors, and fake tensors under torch.compile and export.
#include <ATen/ops/empty.h>

#include "ops.h"

namespace rope::glue {
namespace {

void run(const Call&, const Geometry&, const Outputs&) {}

at::Tensor cos_sin_table(const at::Tensor& inv_freq, int64_t rows, int64_t, double factor) {
  check_table_arguments(inv_freq, rows, factor);
  return at::empty_symint({rows, inv_freq.sym_sizes().back() * 2},
                          inv_freq.options().dtype(at::kFloat));
}

at::Tensor turns(const at::Tensor& inv_freq) {
  check_turns_arguments(inv_freq);
  return at::empty_symint(inv_freq.sym_sizes(), inv_freq.options().dtype(at::kLong));
}

}  // namespace

TORCH_LIBRARY_IMPL(rope, Meta, m) {
  register_ops<&run>(m);
  m.impl("cos_sin_table", &cos_sin_table);
  m.impl("turns", &turns);
}

}  // namespace rope::glue
