// Turns in host memory, and the cache of those that belong to a base.
#include "frequencies.h"

#include <c10/util/Exception.h>

#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include <rope/kernels.h>
#include <rope/schedules.h>

namespace rope::glue {
namespace {

struct BaseTurns {
  double base;
  int64_t num_pairs;
  std::vector<uint64_t> turns;
};

using Shared = std::shared_ptr<const BaseTurns>;

// A process uses a handful of bases. One whose base depends on the sequence length would fill the
// cache without end, so it starts over when it is full; users keep what they hold.
constexpr size_t kMaxCached = 64;

Shared make_base_turns(const char* op, double base, int64_t num_pairs) {
  auto made = std::make_shared<BaseTurns>(BaseTurns{base, num_pairs, {}});
  try {
    for (const double inv_freq : schedules::default_(2 * num_pairs, base).inv_freq) {
      made->turns.push_back(turns_from_frequency(inv_freq));
    }
  } catch (const std::invalid_argument& error) {
    TORCH_CHECK(false, op, ": base does not suit rotary_dim ", 2 * num_pairs, ": ", error.what());
  }
  return made;
}

Shared find_or_make(const char* op, double base, int64_t num_pairs) {
  static std::mutex mutex;
  static std::map<std::pair<double, int64_t>, Shared> cache;
  const std::pair<double, int64_t> key(base, num_pairs);
  {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = cache.find(key);
    if (found != cache.end()) return found->second;
  }
  Shared made = make_base_turns(op, base, num_pairs);
  const std::lock_guard<std::mutex> lock(mutex);
  if (cache.size() >= kMaxCached) cache.clear();
  return cache.emplace(key, std::move(made)).first->second;
}

template <class Scalar>
void make_turns_of(const char* op, const char* name, const at::Tensor& inv_freq, uint64_t* turns) {
  const Scalar* values = inv_freq.const_data_ptr<Scalar>();
  const int64_t count = inv_freq.numel();
  for (int64_t i = 0; i < count; ++i) {
    TORCH_CHECK(std::isfinite(values[i]), op, ": ", name, " must be finite, got ", values[i],
                " at index ", i);
    turns[i] = turns_from_frequency(values[i]);
  }
}

}  // namespace

const uint64_t* turns_of_base(const char* op, double base, int64_t num_pairs) {
  // The last one a thread has used is nearly always the next one, and needs no lock.
  thread_local Shared last;
  if (last == nullptr || last->base != base || last->num_pairs != num_pairs) {
    last = find_or_make(op, base, num_pairs);
  }
  return last->turns.data();
}

const uint64_t* turns_of_host(const char* op, const at::Tensor& inv_freq, Words& words) {
  if (inv_freq.scalar_type() == at::kLong) {
    return reinterpret_cast<const uint64_t*>(inv_freq.const_data_ptr<int64_t>());
  }
  words.resize(static_cast<size_t>(inv_freq.numel()));
  make_turns(op, "inv_freq", inv_freq, words.data());
  return words.data();
}

void make_turns(const char* op, const char* name, const at::Tensor& inv_freq, uint64_t* turns) {
  if (inv_freq.scalar_type() == at::kFloat) {
    make_turns_of<float>(op, name, inv_freq, turns);
  } else {
    make_turns_of<double>(op, name, inv_freq, turns);
  }
}

}  // namespace rope::glue
