// Lists of frequencies as tensors, and nothing else: the schemes are in kernels/schedules/.
#include "module_schedules.h"

#include <ATen/ops/tensor.h>
#include <pybind11/stl.h>

#include <utility>

#include <rope/schedules.h>

namespace rope::glue {
namespace {

using Frequencies = std::pair<at::Tensor, double>;

enum class Axes { kOne, kSeveral };

template <Axes axes, class... Arguments>
auto binding(schedules::Schedule (*make)(Arguments...)) {
  return [make](Arguments... arguments) -> Frequencies {
    const schedules::Schedule schedule = make(arguments...);
    at::Tensor inv_freq = at::tensor(schedule.inv_freq, at::kDouble);
    if (axes == Axes::kSeveral) inv_freq = inv_freq.view({schedule.num_axes, -1});
    return {std::move(inv_freq), schedule.attention_factor};
  };
}

}  // namespace

void define_schedules(pybind11::module_& m) {
  m.def("schedules_default", binding<Axes::kOne>(&schedules::default_));
  m.def("schedules_linear", binding<Axes::kOne>(&schedules::linear));
  m.def("schedules_ntk", binding<Axes::kOne>(&schedules::ntk));
  m.def("schedules_dynamic_ntk", binding<Axes::kOne>(&schedules::dynamic_ntk));
  m.def("schedules_yarn", binding<Axes::kOne>(&schedules::yarn));
  m.def("schedules_longrope", binding<Axes::kOne>(&schedules::longrope));
  m.def("schedules_llama3", binding<Axes::kOne>(&schedules::llama3));
  m.def("schedules_proportional", binding<Axes::kOne>(&schedules::proportional));
  m.def("schedules_mrope", binding<Axes::kSeveral>(&schedules::mrope));
  m.def("schedules_axial", binding<Axes::kSeveral>(&schedules::axial));
}

}  // namespace rope::glue
