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

  // The arrays of one parameter, without those that are None; the gradient is number 1. False
  // unless they are float32 in one order in memory without gaps, none overlaps another, and all
  // but the gradient can be written to.
  bool take(const nb::handle* arrays, std::size_t count, Optimized& parameter) {
    const std::size_t first = views_.size();
    float* data[most_arrays] = {};
    for (std::size_t k = 0; k < count; ++k) {
      if (arrays[k].is_none()) continue;
      const int writable = k == 1 ? 0 : PyBUF_WRITABLE;
      Py_buffer view;
      if (PyObject_GetBuffer(arrays[k].ptr(), &view, PyBUF_STRIDES | PyBUF_FORMAT | writable)) {
        PyErr_Clear();  // not an array, or one that cannot be written to
        return false;
      }
      views_.push_back(view);
      if (std::strcmp(view.format, "f") != 0) return false;
      data[k] = static_cast<float*>(view.buf);
    }
    const Py_buffer* own = views_.data() + first;
    if (!is_dense(own[0])) return false;
    for (std::size_t k = 1; k < views_.size() - first; ++k) {
      if (!same_layout(own[0], own[k])) return false;
      for (std::size_t other = 0; other < k; ++other)
        if (overlap(own[k], own[other])) return false;
    }
    parameter = {data[0], data[1], {data[2], data[3], data[4]}, own[0].len / own[0].itemsize};
    return true;
  }

  static constexpr std::size_t most_arrays = 5;

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

using Left = std::vector<std::size_t>;

// Calls native on the parameters that it can take; lists[k][i] is array k of parameter i, lists[1]
// the gradients. A list of state may be None. Returns the numbers of the parameters that are left
// to do.
template <std::size_t arrays, class Rule>
Left update(const nb::object (&lists)[arrays], const Rule& rule,
            void (*native)(const Optimized*, std::ptrdiff_t, const Rule&, int), int threads) {
  static_assert(arrays <= Borrowed::most_arrays);
  const std::size_t count = nb::len(lists[0]);
  for (std::size_t k = 0; k < arrays; ++k)
    require((k > 1 && lists[k].is_none()) ||
                (PyList_Check(lists[k].ptr()) && nb::len(lists[k]) == count),
            "optimizer: needs lists of one length");
  Borrowed memory;
  Left left;
  std::vector<Optimized> parameters;
  for (std::size_t i = 0; i < count; ++i) {
    nb::handle of_one[arrays];
    for (std::size_t k = 0; k < arrays; ++k)
      of_one[k] = lists[k].is_none()
                      ? Py_None
                      : PyList_GET_ITEM(lists[k].ptr(), static_cast<Py_ssize_t>(i));
    Optimized parameter;
    if (memory.take(of_one, arrays, parameter))
      parameters.push_back(parameter);
    else
      left.push_back(i);
  }
  {
    nb::gil_scoped_release release;
    native(parameters.data(), static_cast<std::ptrdiff_t>(parameters.size()), rule, threads);
  }
  return left;
}

float narrow(double x) { return static_cast<float>(x); }

Slope slope(double weight_decay, bool maximize) { return {narrow(weight_decay), maximize}; }

Left sgd_step(nb::object weights, nb::object grads, nb::object buffers, double lr, double momentum,
              double dampening, double weight_decay, bool nesterov, bool maximize, int threads) {
  const Sgd rule{
      .slope = slope(weight_decay, maximize), .lr = narrow(lr), .momentum = narrow(momentum),
      .gain = narrow(1 - dampening), .nesterov = nesterov,
  };
  return update({weights, grads, buffers}, rule, active().sgd_step, threads);
}

Left momentum_step(nb::object weights, nb::object grads, nb::object velocities, double lr,
                   double momentum, double weight_decay, bool nesterov, bool maximize,
                   int threads) {
  const Momentum rule{
      .slope = slope(weight_decay, maximize), .lr = narrow(lr), .momentum = narrow(momentum),
      .nesterov = nesterov,
  };
  return update({weights, grads, velocities}, rule, active().momentum_step, threads);
}

Left adam_step(nb::object weights, nb::object grads, nb::object means, nb::object squares,
               nb::object peaks, int step, double lr, double beta1, double beta2, double eps,
               double weight_decay, bool decoupled, bool maximize, int threads) {
  const double c1 = 1 - std::pow(beta1, step), c2 = std::sqrt(1 - std::pow(beta2, step));
  const Adam rule{
      .slope = slope(decoupled ? 0 : weight_decay, maximize), .lr = narrow(lr * c2 / c1),
      .eps = narrow(c2 * eps), .beta1 = narrow(beta1), .one_minus_beta1 = narrow(1 - beta1),
      .beta2 = narrow(beta2), .one_minus_beta2 = narrow(1 - beta2),
      .keep = narrow(decoupled ? 1 - lr * weight_decay : 1),
  };
  return update({weights, grads, means, squares, peaks}, rule, active().adam_step, threads);
}

Left moments_step(nb::object weights, nb::object grads, nb::object means, nb::object squares,
                  double mean_rate, double grad_rate, double beta1, double beta2, double eps,
                  double weight_decay, double keep, bool adaptive, bool maximize, int threads) {
  const Moments rule{
      .slope = slope(weight_decay, maximize), .mean_rate = narrow(mean_rate),
      .grad_rate = narrow(grad_rate), .eps = narrow(eps), .beta1 = narrow(beta1),
      .one_minus_beta1 = narrow(1 - beta1), .beta2 = narrow(beta2),
      .one_minus_beta2 = narrow(1 - beta2), .keep = narrow(keep), .adaptive = adaptive,
  };
  return update({weights, grads, means, squares}, rule, active().moments_step, threads);
}

Left adamax_step(nb::object weights, nb::object grads, nb::object means, nb::object norms,
                 double lr, double beta1, double beta2, double eps, double weight_decay,
                 bool maximize, int threads) {
  const Adamax rule{
      .slope = slope(weight_decay, maximize), .lr = narrow(lr), .beta1 = narrow(beta1),
      .one_minus_beta1 = narrow(1 - beta1), .beta2 = narrow(beta2), .eps = narrow(eps),
  };
  return update({weights, grads, means, norms}, rule, active().adamax_step, threads);
}

Left adagrad_step(nb::object weights, nb::object grads, nb::object sums, double lr, double eps,
                  double weight_decay, bool maximize, int threads) {
  const Adagrad rule{slope(weight_decay, maximize), narrow(lr), narrow(eps)};
  return update({weights, grads, sums}, rule, active().adagrad_step, threads);
}

Left rmsprop_step(nb::object weights, nb::object grads, nb::object squares, nb::object means,
                  nb::object buffers, double lr, double alpha, double eps, double momentum,
                  double weight_decay, bool maximize, int threads) {
  const RmsProp rule{
      .slope = slope(weight_decay, maximize), .lr = narrow(lr), .alpha = narrow(alpha),
      .one_minus_alpha = narrow(1 - alpha), .eps = narrow(eps), .momentum = narrow(momentum),
  };
  return update({weights, grads, squares, means, buffers}, rule, active().rmsprop_step, threads);
}

Left adadelta_step(nb::object weights, nb::object grads, nb::object squares, nb::object deltas,
                   double lr, double rho, double eps, double weight_decay, bool maximize,
                   int threads) {
  const Adadelta rule{slope(weight_decay, maximize), narrow(lr), narrow(rho), narrow(1 - rho),
                      narrow(eps)};
  return update({weights, grads, squares, deltas}, rule, active().adadelta_step, threads);
}

Left asgd_step(nb::object weights, nb::object grads, nb::object averages, double lr, double keep,
               double share, double weight_decay, bool maximize, int threads) {
  const Asgd rule{slope(weight_decay, maximize), narrow(lr), narrow(keep), narrow(share)};
  return update({weights, grads, averages}, rule, active().asgd_step, threads);
}

Left rprop_step(nb::object weights, nb::object grads, nb::object before, nb::object sizes,
                double shrink, double grow, double smallest, double largest, bool maximize,
                int threads) {
  const Rprop rule{slope(0, maximize), narrow(shrink), narrow(grow), narrow(smallest),
                   narrow(largest)};
  return update({weights, grads, before, sizes}, rule, active().rprop_step, threads);
}

}  // namespace

void bind_optimizer(nb::module_& m) {
  m.def("sgd_step", &sgd_step, "weights"_a, "grads"_a, "buffers"_a.none(), "lr"_a, "momentum"_a,
        "dampening"_a, "weight_decay"_a, "nesterov"_a, "maximize"_a, "threads"_a);
  m.def("momentum_step", &momentum_step, "weights"_a, "grads"_a, "velocities"_a, "lr"_a,
        "momentum"_a, "weight_decay"_a, "nesterov"_a, "maximize"_a, "threads"_a);
  m.def("adam_step", &adam_step, "weights"_a, "grads"_a, "means"_a, "squares"_a,
        "peaks"_a.none(), "step"_a, "lr"_a, "beta1"_a, "beta2"_a, "eps"_a, "weight_decay"_a,
        "decoupled"_a, "maximize"_a, "threads"_a);
  m.def("moments_step", &moments_step, "weights"_a, "grads"_a, "means"_a, "squares"_a,
        "mean_rate"_a, "grad_rate"_a, "beta1"_a, "beta2"_a, "eps"_a, "weight_decay"_a, "keep"_a,
        "adaptive"_a, "maximize"_a, "threads"_a);
  m.def("adamax_step", &adamax_step, "weights"_a, "grads"_a, "means"_a, "norms"_a, "lr"_a,
        "beta1"_a, "beta2"_a, "eps"_a, "weight_decay"_a, "maximize"_a, "threads"_a);
  m.def("adagrad_step", &adagrad_step, "weights"_a, "grads"_a, "sums"_a, "lr"_a, "eps"_a,
        "weight_decay"_a, "maximize"_a, "threads"_a);
  m.def("rmsprop_step", &rmsprop_step, "weights"_a, "grads"_a, "squares"_a, "means"_a.none(),
        "buffers"_a.none(), "lr"_a, "alpha"_a, "eps"_a, "momentum"_a, "weight_decay"_a,
        "maximize"_a, "threads"_a);
  m.def("adadelta_step", &adadelta_step, "weights"_a, "grads"_a, "squares"_a, "deltas"_a, "lr"_a,
        "rho"_a, "eps"_a, "weight_decay"_a, "maximize"_a, "threads"_a);
  m.def("asgd_step", &asgd_step, "weights"_a, "grads"_a, "averages"_a, "lr"_a, "keep"_a,
        "share"_a, "weight_decay"_a, "maximize"_a, "threads"_a);
  m.def("rprop_step", &rprop_step, "weights"_a, "grads"_a, "before"_a, "sizes"_a, "shrink"_a,
        "grow"_a, "smallest"_a, "largest"_a, "maximize"_a, "threads"_a);
}

}  // namespace chainrule
