// NumPy's arrays as kernels see them, through NumPy's own C interface: a look at a few fields
// takes nanoseconds, where nanobind's general way to arrays takes more than a small kernel.
//
// Only bindings include this. An Array lives for one call and holds on to the copy, where
// it needed one, which fit() makes; all here but data(), size(), axes() and shape() needs the GIL.
#pragma once
#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
// The table of NumPy's functions, which one file fills for all.
#define PY_ARRAY_UNIQUE_SYMBOL chainrule_numpy
#ifndef CHAINRULE_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <nanobind/nanobind.h>
#include <numpy/arrayobject.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "dispatch.hpp"
#include "memory.hpp"

namespace chainrule {

namespace nb = nanobind;

template <class T>
constexpr int type_number = std::is_same_v<T, float>          ? NPY_FLOAT
                            : std::is_same_v<T, double>       ? NPY_DOUBLE
                            : std::is_same_v<T, std::uint8_t> ? NPY_UINT8
                                                              : NPY_INT64;

// A new array in a block that is kept for the next one.
template <class T>
class New {
 public:
  // At these steps (in bytes), which leave no gaps.
  New(int axes, const npy_intp* shape, const npy_intp* steps) {
    constexpr npy_intp most = PTRDIFF_MAX / sizeof(T);
    npy_intp count = 1;
    for (int i = 0; i < axes; ++i) {
      // A product that overflows would be a small block for a large array.
      if (shape[i] < 0 || (count > 0 && shape[i] > most / count)) throw std::bad_alloc();
      count *= shape[i];
    }
    data_ = static_cast<T*>(take_block(static_cast<std::size_t>(count) * sizeof(T)));
    PyObject* owner = PyCapsule_New(data_, nullptr, [](PyObject* capsule) {
      return_block(PyCapsule_GetPointer(capsule, nullptr));
    });
    if (!owner) {
      return_block(data_);
      throw nb::python_error();
    }
    PyObject* made = PyArray_New(&PyArray_Type, axes, const_cast<npy_intp*>(shape),
                                 type_number<T>, const_cast<npy_intp*>(steps), data_, 0,
                                 NPY_ARRAY_WRITEABLE | NPY_ARRAY_ALIGNED, nullptr);
    if (!made) {
      Py_DECREF(owner);
      throw nb::python_error();
    }
    object_ = nb::steal(made);
    if (PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(made), owner) < 0)
      throw nb::python_error();  // it has taken the owner all the same
  }

  T* data() const { return data_; }
  bool is_empty() const {
    return PyArray_SIZE(reinterpret_cast<PyArrayObject*>(object_.ptr())) == 0;
  }
  const nb::object& object() const { return object_; }

 private:
  T* data_;
  nb::object object_;
};

// What an argument may be, and what is done where it is not so.
enum class As {
  exact,          // in C order and, for results, writable; else TypeError
  strided,        // at any steps; else fits() is false
  gapless,        // in C order, or images in channels-last order; else fits() is false
  contiguous,     // brought into C order; of another dtype, fits() is false
  channels_last,  // (N, C, *), brought into the order (N, *, C), which shape() gives; as above
  vector,         // brought into C order and to the dtype
};

// The argument None is an array without data.
template <class T, As as>
class Array {
 public:
  Array() = default;
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { Py_XDECREF(copy_); }

  // False: the call is a TypeError.
  bool take(PyObject* object) {
    constexpr bool refuses = as == As::exact;
    if (object == Py_None) return fits_ = true;
    if (as == As::vector && !(PyArray_Check(object) && is_ready(array_of(object)))) {
      copy_ = PyArray_FROM_OTF(object, number, NPY_ARRAY_CARRAY_RO | NPY_ARRAY_FORCECAST);
      if (!copy_) throw nb::python_error();
      object = copy_;
    }
    if (!PyArray_Check(object) || !has_dtype(array_of(object))) return !refuses;
    array_ = array_of(object);
    axes_ = static_cast<std::size_t>(PyArray_NDIM(array_));
    if (axes_ > most_axes || (as == As::channels_last && axes_ < 2)) return !refuses;
    const bool ready = is_ready(array_);
    if (!ready && !is_brought_into_order) return !refuses;
    for (std::size_t i = 0; i < axes_; ++i) {
      shape_[i] = static_cast<std::size_t>(PyArray_DIM(array_, axis(i)));
      size_ *= shape_[i];
    }
    if (ready) data_ = static_cast<T*>(PyArray_DATA(array_));
    waits_ = !ready;
    given_ = true;
    return fits_ = true;
  }

  static constexpr bool is_brought_into_order = as == As::contiguous || as == As::channels_last;

  // What fit() does with an array that is in another order than asked for.
  void bring_into_order(int threads) const {
    if (waits_) take_copy(as == As::channels_last, threads);
  }

  // The pixels of channels-first images that were asked for in channels-last order, but are large
  // enough to be worked on as they are; else 0.
  std::size_t pixels_of_large_planes() const {
    constexpr std::size_t enough = 32;
    if (as != As::channels_last || !waits_ || !PyArray_ISALIGNED(array_) ||
        !PyArray_IS_C_CONTIGUOUS(array_))
      return 0;
    std::size_t pixels = 1;
    for (std::size_t i = 1; i + 1 < axes_; ++i) pixels *= shape_[i];
    return pixels < enough ? 0 : pixels;
  }

  // In channels-first order, as shape() does not say.
  void bring_into_c_order(int threads) const {
    if (!given_) return;
    if (PyArray_IS_C_CONTIGUOUS(array_) && PyArray_ISALIGNED(array_)) {
      data_ = static_cast<T*>(PyArray_DATA(array_));
      waits_ = false;
    } else {
      take_copy(false, threads);
    }
  }

  // Whether the compiled kernels take it.
  bool fits() const { return fits_; }
  explicit operator bool() const { return given_; }
  T* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::size_t ndim() const { return axes_; }
  std::size_t shape(std::size_t i) const { return shape_[i]; }
  // In elements.
  std::ptrdiff_t stride(int i) const {
    return PyArray_STRIDE(array_, i) / static_cast<std::ptrdiff_t>(sizeof(T));
  }
  // Whether this axis is the last one in memory, behind all others in C order.
  bool is_innermost(int axis) const { return is_innermost(array_, axis); }
  PyArrayObject* array() const { return array_; }

 private:
  using Element = std::remove_const_t<T>;
  static constexpr int number = type_number<Element>;
  static constexpr std::size_t most_axes = 32;

  static PyArrayObject* array_of(PyObject* object) {
    return reinterpret_cast<PyArrayObject*>(object);
  }

  static bool has_dtype(PyArrayObject* array) {
    const int type = PyArray_TYPE(array);
    return (type == number || PyArray_EquivTypenums(type, number)) &&
           PyArray_ISNOTSWAPPED(array);
  }

  // The array's axis that is number i in the order of memory.
  int axis(std::size_t i) const {
    if (as != As::channels_last || i == 0) return static_cast<int>(i);
    return static_cast<int>(i + 1 < axes_ ? i + 1 : 1);
  }

  static bool is_innermost(PyArrayObject* array, int innermost) {
    const int axes = PyArray_NDIM(array);
    npy_intp step = sizeof(T);
    for (int i = axes - 1; i >= 0; --i) {
      const int axis = i == axes - 1 ? innermost : i < innermost ? i : i + 1;
      const npy_intp size = PyArray_DIM(array, axis);
      if (size != 1 && PyArray_STRIDE(array, axis) != step) return false;
      step *= size;
    }
    return true;
  }

  static bool is_ready(PyArrayObject* array) {
    if (!has_dtype(array) || !PyArray_ISALIGNED(array)) return false;
    if (!std::is_const_v<T> && !PyArray_ISWRITEABLE(array)) return false;
    if (as == As::strided) return true;
    if (as == As::channels_last) return is_innermost(array, 1);
    return PyArray_IS_C_CONTIGUOUS(array) ||
           (as == As::gapless && PyArray_NDIM(array) > 2 && is_innermost(array, 1));
  }

  // Works on a copy in channels-last or in C order from here on.
  void take_copy(bool to_channels_last, int threads) const {
    if constexpr (std::is_same_v<Element, float>) copy_ = transposed(to_channels_last, threads);
    if (!copy_) copy_ = copied(to_channels_last);
    array_ = array_of(copy_);
    data_ = static_cast<T*>(PyArray_DATA(array_));
    waits_ = false;
  }

  // Channels-first images as channels-last ones, or the reverse: matrices to transpose. Null for
  // arrays in neither order.
  PyObject* transposed(bool to_channels_last, int threads) const {
    const int axes = PyArray_NDIM(array_);
    if (axes < 3 || !PyArray_ISALIGNED(array_)) return nullptr;
    if (!(to_channels_last ? PyArray_IS_C_CONTIGUOUS(array_) : is_innermost(array_, 1)))
      return nullptr;
    npy_intp* shape = PyArray_DIMS(array_);
    npy_intp steps[most_axes], pixels = 1;
    for (int i = axes - 1; i > 1; --i) {
      steps[i] = pixels * shape[1] * static_cast<npy_intp>(sizeof(T));
      pixels *= shape[i];
    }
    steps[0] = pixels * shape[1] * static_cast<npy_intp>(sizeof(T));
    steps[1] = sizeof(T);
    const New<Element> made(axes, shape, to_channels_last ? steps : nullptr);
    const auto* from = static_cast<const Element*>(PyArray_DATA(array_));
    const npy_intp rows = to_channels_last ? shape[1] : pixels;
    {
      nb::gil_scoped_release release;
      active().transpose(shape[0], rows, to_channels_last ? pixels : shape[1], from, made.data(),
                         threads);
    }
    return nb::object(made.object()).release().ptr();
  }

  // By NumPy, which can handle any steps.
  PyObject* copied(bool to_channels_last) const {
    npy_intp axes[most_axes];
    for (std::size_t i = 0; i < axes_; ++i) axes[i] = to_channels_last ? axis(i) : i;
    PyArray_Dims order{axes, static_cast<int>(axes_)};
    const auto checked = [](PyObject* made) {
      if (!made) throw nb::python_error();
      return nb::steal(made);
    };
    const nb::object view = checked(PyArray_Transpose(array_, &order));
    const nb::object memory = checked(PyArray_NewCopy(array_of(view.ptr()), NPY_CORDER));
    // Seen in the axes of the argument again, so that axis() means the same.
    for (std::size_t i = 0; i < axes_; ++i)
      axes[to_channels_last ? axis(i) : i] = static_cast<npy_intp>(i);
    return checked(PyArray_Transpose(array_of(memory.ptr()), &order)).release().ptr();
  }

  // Mutable: the copy that fit() makes changes no value.
  mutable PyArrayObject* array_ = nullptr;
  mutable PyObject* copy_ = nullptr;
  mutable T* data_ = nullptr;
  mutable bool waits_ = false;  // to be brought into order
  std::size_t size_ = 1, axes_ = 0;
  bool fits_ = false, given_ = false;
  std::size_t shape_[most_axes];
};

// Whether the compiled kernels take all these; those in another order than asked for are brought
// into it then, on up to `threads` threads.
template <class... Arrays>
bool fit(int threads, const Arrays&... arrays) {
  if (!(arrays.fits() && ...)) return false;
  (arrays.bring_into_order(threads), ...);
  return true;
}

// The same for arrays of which none is brought into another order.
template <class... Arrays>
bool fit(const Arrays&... arrays) {
  static_assert(!(Arrays::is_brought_into_order || ...));
  return (arrays.fits() && ...);
}

// In C order.
template <class T = float>
New<T> in_c_order(std::initializer_list<std::size_t> sizes) {
  npy_intp shape[4];
  int axes = 0;
  for (const std::size_t size : sizes) shape[axes++] = static_cast<npy_intp>(size);
  return {axes, shape, nullptr};
}

// Shape and order of memory as the argument's.
template <class T = float, class Like>
New<T> like(const Like& array) {
  return {PyArray_NDIM(array.array()), PyArray_DIMS(array.array()),
          PyArray_STRIDES(array.array())};
}

// Images (N, C, H, W) in channels-last memory.
template <class T = float>
New<T> images(std::size_t count, std::size_t height, std::size_t width, std::size_t channels) {
  const npy_intp n = static_cast<npy_intp>(count), h = static_cast<npy_intp>(height),
                 w = static_cast<npy_intp>(width), c = static_cast<npy_intp>(channels);
  const npy_intp item = sizeof(T), shape[] = {n, c, h, w};
  const npy_intp steps[] = {h * w * c * item, item, w * c * item, c * item};
  return {4, shape, steps};
}

// Volumes (N, C, D, H, W) in channels-last memory.
inline New<float> volumes(std::size_t count, std::size_t depth, std::size_t height,
                          std::size_t width, std::size_t channels) {
  const npy_intp n = static_cast<npy_intp>(count), d = static_cast<npy_intp>(depth),
                 h = static_cast<npy_intp>(height), w = static_cast<npy_intp>(width),
                 c = static_cast<npy_intp>(channels);
  const npy_intp item = sizeof(float), shape[] = {n, c, d, h, w};
  const npy_intp steps[] = {d * h * w * c * item, item, h * w * c * item, w * c * item, c * item};
  return {5, shape, steps};
}

}  // namespace chainrule

template <class T, chainrule::As as>
struct nanobind::detail::type_caster<chainrule::Array<T, as>> {
  using Array = chainrule::Array<T, as>;
  NB_TYPE_CASTER(Array, const_name("numpy.ndarray"))
  bool from_python(handle source, std::uint8_t, cleanup_list*) {
    return value.take(source.ptr());
  }
};
