// The ops of torch.ops.rope: names, arguments, defaults and what they mutate.
#include <torch/library.h>

#include <string>

namespace {

// What apply, rotate, rotate_qk and apply_qkv share; Keywords (call.h) lists them in this order.
const std::string kKeywords =
    "Tensor? inv_freq=None, Tensor? cos_sin=None, Tensor? cos=None, Tensor? sin=None, "
    "float base=10000.0, float attention_factor=1.0, "
    "int rotary_dim=0, int rotary_offset=0, bool interleaved=False, bool inverse=False, "
    "str layout=\"bshd\", Tensor? offsets=None, Tensor? cu_seqlens=None, bool skip_negative=False";

}  // namespace

// A fragment, because other extensions may own TORCH_LIBRARY(rope, …).
TORCH_LIBRARY_FRAGMENT(rope, m) {
  const auto define = [&m](const std::string& schema) {
    m.def(schema.c_str(), {at::Tag::pt2_compliant_tag});
  };
  define("apply(Tensor(a!) q, Tensor(b!)? k=None, Tensor? pos=None, *, " + kKeywords + ") -> ()");
  define("rotate(Tensor x, Tensor? pos=None, *, " + kKeywords + ") -> Tensor");
  define("rotate_qk(Tensor q, Tensor k, Tensor? pos=None, *, " + kKeywords +
         ") -> (Tensor, Tensor)");
  define("apply_qkv(Tensor(a!) qkv, Tensor? pos=None, *, int num_heads_q, int num_heads_k, " +
         kKeywords + ") -> ()");
  define(
      "rerotate(Tensor(a!) k, Tensor old_pos, Tensor new_pos, *, "
      "Tensor? old_inv_freq=None, Tensor? new_inv_freq=None, float base=10000.0, "
      "float scale=1.0, int rotary_dim=0, int rotary_offset=0, bool interleaved=False, "
      "str layout=\"bshd\", bool skip_negative=False) -> ()");
  define(
      "cos_sin_table(Tensor inv_freq, int rows, *, int start=0, float attention_factor=1.0) "
      "-> Tensor");
  define("turns(Tensor inv_freq) -> Tensor");
}
