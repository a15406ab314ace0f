#include "bindings.hpp"

#include <nanobind/stl/vector.h>

#include <cmath>
#include <cstring>
#include <vector>

namespace chainrule {
namespace {

// The memory of arrays, borrowed for the time of a call without an object for each of them: an
// optimizer's step has hundreds of small ones.
class Borrowed {
 public:
  Borrowed() = default;
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  ~Borrowed() {
    for (Py_buffer& view : views_) PyBuffer_Release(&view);
  }

  // Whether the `count` arrays are float32 in one order in memory without gaps, none overlaps
  // another, and those that are not number `read_only` can be written to. If so they are the
  // last ones in here.
  bool take(const nb::handle* arrays, std::size_t count, std::size_t read_only) {
    const std::size_t first = views_.size();
    for (std::size_t k = 0; k < count; ++k) {
      const int writable = k == read_only ? 0 : PyBUF_WRITABLE;
      Py_buffer view;
      if (PyObject_GetBuffer(arrays[k].ptr(), &view, PyBUF_STRIDES | PyBUF_FORMAT | writable)) {
        PyErr_Clear();  // not an array, or one that cannot be written to
        return false;
      }
      views_.push_back(view);
      if (std::strcmp(view.format, "f") != 0) return false;
    }
    const Py_buffer* own = views_.data() + first;
    if (!is_dense(own[0])) return false;
    for (std::size_t k = 1; k < count; ++k) {
      if (!same_layout(own[0], own[k])) return false;
      for (std::size_t other = 0; other < k; ++other)
        if (overlap(own[k], own[other])) return false;
    }
    return true;
  }

  float* data(std::size_t from_last) const {
    return static_cast<float*>(views_[views_.size() - from_last].buf);
  }
  std::ptrdiff_t size() const { return views_.back().len / views_.back().itemsize; }

 private:
  static bool same_layout(const Py_buffer& a, const Py_buffer& b) {
    if (a.ndim != b.ndim) return false;
    for (int axis = 0; axis < a.ndim; ++axis)
      if (a.shape[axis] != b.shape[axis] ||
          (a.shape[axis] > 1 && a.strides[axis] != b.strides[axis]))
        return false;
    return true;
  }

  // Whether the elements fill a piece of memory, in the order of some permutation of the axes.
  static bool is_dense(const Py_buffer& view) {
    if (view.len == 0) return true;
    Py_ssize_t filled = view.itemsize;
    while (filled < view.len) {
      int next = 0;
      while (next < view.ndim && (view.shape[next] == 1 || view.strides[next] != filled)) ++next;
      if (next == view.ndim) return false;
      filled *= view.shape[next];
    }
    return true;
  }

  static bool overlap(const Py_buffer& a, const Py_buffer& b) {
    const char *x = static_cast<const char*>(a.buf), *y = static_cast<const char*>(b.buf);
    return x < y + b.len && y < x + a.len;
  }

  std::vector<Py_buffer> views_;
};

// Calls native(parameters) on those that it can take; lists[k][i] is array k of parameter i,
// lists[1] the gradients, and make(arrays) makes a parameter of pointers. A list may be None at
// the end. Returns the numbers of the parameters that are left to do.
template <std::size_t arrays, class Make, class Native>
std::vector<std::size_t> for_parameters(const nb::object (&lists)[arrays], Make make,
                                        Native native) {
  const std::size_t used = lists[arrays - 1].is_none() ? arrays - 1 : arrays;
  const std::size_t count = nb::len(lists[0]);
  for (std::size_t k = 0; k < used; ++k)
    require(PyList_Check(lists[k].ptr()) && nb::len(lists[k]) == count,
            "optimizer: needs lists of one length");
  Borrowed memory;
  std::vector<std::size_t> left;
  std::vector<decltype(make(memory, used))> parameters;
  for (std::size_t i = 0; i < count; ++i) {
    nb::handle of_one[arrays];
    for (std::size_t k = 0; k < used; ++k)
      of_one[k] = PyList_GET_ITEM(lists[k].ptr(), static_cast<Py_ssize_t>(i));
    if (memory.take(of_one, used, 1))
      parameters.push_back(make(memory, used));
    else
      left.push_back(i);
  }
  {
    nb::gil_scoped_release release;
    native(parameters.data(), static_cast<std::ptrdiff_t>(parameters.size()));
  }
  return left;
}

std::vector<std::size_t> sgd_step(nb::object weights, nb::object grads, nb::object buffers,
                                  double lr, double momentum, double dampening,
                                  double weight_decay, bool nesterov, bool maximize, int threads) {
  const Sgd rule{
      .lr = static_cast<float>(lr), .momentum = static_cast<float>(momentum),
      .gain = static_cast<float>(1 - dampening), .weight_decay = static_cast<float>(weight_decay),
      .nesterov = nesterov, .maximize = maximize,
  };
  const nb::object lists[] = {weights, grads, buffers};
  return for_parameters(
      lists,
      [](const Borrowed& memory, std::size_t used) {
        return SgdParameter{memory.data(used), memory.data(used - 1),
                            used > 2 ? memory.data(used - 2) : nullptr, memory.size()};
      },
      [&](const SgdParameter* parameters, std::ptrdiff_t count) {
        active().sgd_step(parameters, count, rule, threads);
      });
}

std::vector<std::size_t> adam_step(nb::object weights, nb::object grads, nb::object means,
                                   nb::object squares, nb::object peaks, int step, double lr,
                                   double beta1, double beta2, double eps, double weight_decay,
                                   bool decoupled, bool maximize, int threads) {
  const double c1 = 1 - std::pow(beta1, step), c2 = std::sqrt(1 - std::pow(beta2, step));
  const Adam rule{
      .lr = static_cast<float>(lr * c2 / c1), .eps = static_cast<float>(c2 * eps),
      .beta1 = static_cast<float>(beta1), .one_minus_beta1 = static_cast<float>(1 - beta1),
      .beta2 = static_cast<float>(beta2), .one_minus_beta2 = static_cast<float>(1 - beta2),
      .decay_into_grad = static_cast<float>(decoupled ? 0 : weight_decay),
      .keep = static_cast<float>(decoupled ? 1 - lr * weight_decay : 1),
      .maximize = maximize,
  };
  const nb::object lists[] = {weights, grads, means, squares, peaks};
  return for_parameters(
      lists,
      [](const Borrowed& memory, std::size_t used) {
        return AdamParameter{memory.data(used),     memory.data(used - 1),
                             memory.data(used - 2), memory.data(used - 3),
                             used > 4 ? memory.data(used - 4) : nullptr, memory.size()};
      },
      [&](const AdamParameter* parameters, std::ptrdiff_t count) {
        active().adam_step(parameters, count, rule, threads);
      });
}

}  // namespace

void bind_optimizer(nb::module_& m) {
  m.def("sgd_step", &sgd_step, "weights"_a, "grads"_a, "buffers"_a.none(), "lr"_a, "momentum"_a,
        "dampening"_a, "weight_decay"_a, "nesterov"_a, "maximize"_a, "threads"_a);
  m.def("adam_step", &adam_step, "weights"_a, "grads"_a, "means"_a, "squares"_a,
        "peaks"_a.none(), "step"_a, "lr"_a, "beta1"_a, "beta2"_a, "eps"_a, "weight_decay"_a,
        "decoupled"_a, "maximize"_a, "threads"_a);
}

}  // namespace chainrule
