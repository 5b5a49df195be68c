// The refusals of what has only a schema so far. The kernels below serve all of it, so supporting a
// keyword means to check it, to lower it, and to delete its line here.
#include "not_yet.h"

#include <torch/library.h>

namespace rope::glue {
namespace {

void refuse(bool used, const char* op, const char* what) {
  TORCH_CHECK_NOT_IMPLEMENTED(!used, op, ": ", what, " is not supported yet");
}

void refuse_op(const c10::OperatorHandle& op, torch::jit::Stack*) {
  refuse(true, op.schema().name().c_str(), "this op");
}

}  // namespace

void refuse_not_yet(const Call& call) {
  const Keywords& keywords = call.keywords;
  refuse(given(keywords.cos) != nullptr, call.op, "cos");
  refuse(given(keywords.sin) != nullptr, call.op, "sin");
  refuse(given(keywords.offsets) != nullptr, call.op, "offsets");
  refuse(given(keywords.cu_seqlens) != nullptr, call.op, "cu_seqlens");
  refuse(keywords.skip_negative, call.op, "skip_negative");
  refuse(keywords.rotary_offset != 0, call.op, "rotary_offset");
  const std::string_view layout = keywords.layout;
  refuse(layout == "thd" || layout == "bhsd" || layout == "sbhd", call.op, "layout");
  const at::Tensor* cos_sin = given(keywords.cos_sin);
  refuse(cos_sin != nullptr && cos_sin->dim() == 3, call.op, "cos_sin with a row per token");
}

void refuse_not_yet_frequencies(const char* op, const at::Tensor& inv_freq) {
  refuse(inv_freq.dim() == 2 && inv_freq.sym_size(0) != 1, op, "inv_freq with several axes");
  refuse(inv_freq.dim() == 3, op, "inv_freq for each head");
}

void refuse_gradient(const char* op, const char* argument) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, op, ": a gradient to ", argument, " is not supported yet");
}

void refuse_tangent(const char* op) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, op, ": forward-mode differentiation is not supported yet");
}

TORCH_LIBRARY_IMPL(rope, CompositeImplicitAutograd, m) {
  m.impl("apply_qkv", torch::CppFunction::makeFromBoxedFunction<&refuse_op>());
  m.impl("rerotate", torch::CppFunction::makeFromBoxedFunction<&refuse_op>());
}

}  // namespace rope::glue
