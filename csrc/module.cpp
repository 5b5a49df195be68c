// torch_rope._C: what Python needs beside the ops. A binary of its own, so that the op library
// works without Python.
#include <ATen/ops/tensor.h>
#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include <string>
#include <utility>

#include <rope/schedules.h>

#include "explain.h"

namespace py = pybind11;

namespace rope::glue {
namespace {

// torch knows the devices without another library being linked. Where there is none, as fake
// tensors do not need one, the planner's own facts stand.
Gpu gpu_of(const at::Tensor& q) {
  Gpu gpu;
  if (!q.is_cuda()) return gpu;
  const py::module_ cuda = py::module_::import("torch.cuda");
  const int index = static_cast<int>(q.device().index());
  const bool is_found =
      cuda.attr("is_available")().cast<bool>() && index < cuda.attr("device_count")().cast<int>();
  if (!is_found) return gpu;
  const py::object device = cuda.attr("get_device_properties")(index);
  gpu.facts.num_multiprocessors = device.attr("multi_processor_count").cast<int32_t>();
  gpu.facts.threads_per_multiprocessor =
      device.attr("max_threads_per_multi_processor").cast<int32_t>();
  gpu.architecture =
      10 * device.attr("major").cast<int32_t>() + device.attr("minor").cast<int32_t>();
  return gpu;
}

py::object tuple_of(const std::optional<std::array<uint32_t, 3>>& extents) {
  if (!extents) return py::none();
  return py::tuple(py::cast(*extents));
}

py::dict dict_of(const Explanation& explanation) {
  const bool is_good = !explanation.error.has_value();
  const bool has_costs = is_good && explanation.costs.has_value();
  const std::optional<Work> work = has_costs ? explanation.costs->work : std::nullopt;
  const py::object none = py::none();
  py::dict dict;
  dict["backend"] = is_good ? py::cast(explanation.backend) : none;
  dict["vector_bytes"] = work ? py::cast(work->vector_bytes) : none;
  dict["heads_per_thread"] = work ? py::cast(work->heads_per_thread) : none;
  dict["grid"] = work ? tuple_of(work->grid) : none;
  dict["block"] = work ? tuple_of(work->block) : none;
  dict["launches"] = work ? py::cast(work->launches) : none;
  dict["bytes"] = has_costs ? py::cast(explanation.costs->bytes) : none;
  dict["copies"] = has_costs ? py::cast(explanation.costs->copies) : none;
  dict["angles"] = is_good ? py::cast(explanation.is_table ? "table" : "computed") : none;
  dict["frequencies"] = is_good ? py::cast(explanation.frequencies) : none;
  dict["error"] = py::cast(explanation.error);
  return dict;
}

py::dict build_info_to_python() {
  const BuildInfo info = build_info();
  py::dict dict;
  dict["version"] = info.version;
  dict["torch_built"] = info.torch;
  dict["torch_found"] = py::str(py::module_::import("torch").attr("__version__"));
  dict["cuda"] = py::cast(info.cuda);
  dict["architectures"] = py::cast(info.architectures);
  dict["ptx"] = py::cast(info.ptx);
  return dict;
}

// The arguments of rope::apply, in the order of its schema.
void define_explain(py::module_& m) {
  using Optional = std::optional<at::Tensor>;
  const auto function = [](const at::Tensor& q, const Optional& k, const Optional& pos,
                           const Optional& inv_freq, const Optional& cos_sin, const Optional& cos,
                           const Optional& sin, double base, double attention_factor,
                           int64_t rotary_dim, int64_t rotary_offset, bool interleaved,
                           bool inverse, const std::string& layout, const Optional& offsets,
                           const Optional& cu_seqlens, bool skip_negative) {
    const Options options{inv_freq,         cos_sin,    cos,           sin,          base,
                          attention_factor, rotary_dim, rotary_offset, interleaved,  inverse,
                          layout,           offsets,    cu_seqlens,    skip_negative};
    return dict_of(explain(q, k, pos, options, gpu_of(q)));
  };
  const Options defaults;
  m.def("explain", function, py::arg("q"), py::arg("k") = py::none(), py::arg("pos") = py::none(),
        py::kw_only(), py::arg("inv_freq") = py::none(), py::arg("cos_sin") = py::none(),
        py::arg("cos") = py::none(), py::arg("sin") = py::none(), py::arg("base") = defaults.base,
        py::arg("attention_factor") = defaults.attention_factor,
        py::arg("rotary_dim") = defaults.rotary_dim,
        py::arg("rotary_offset") = defaults.rotary_offset,
        py::arg("interleaved") = defaults.interleaved, py::arg("inverse") = defaults.inverse,
        py::arg("layout") = defaults.layout, py::arg("offsets") = py::none(),
        py::arg("cu_seqlens") = py::none(), py::arg("skip_negative") = defaults.skip_negative);
}

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

// schedules_<scheme>, positional arguments as in <rope/schedules.h>: each returns (inv_freq,
// attention_factor), inv_freq float64 (n,), or (A, n) for a scheme of several axes.
// std::invalid_argument becomes ValueError.
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

}  // namespace
}  // namespace rope::glue

PYBIND11_MODULE(_C, m) {
  rope::glue::define_explain(m);
  m.def("build_info", &rope::glue::build_info_to_python);
  rope::glue::define_schedules(m);
}
