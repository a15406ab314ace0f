#include "bindings.hpp"

namespace chainrule {
namespace {

using Numbers = Array<const std::int64_t, As::contiguous>;

std::ptrdiff_t size(std::size_t n) { return static_cast<std::ptrdiff_t>(n); }

// Axes in C order or, behind the batch, with the channels last.
nb::object resample(const Gapless& x, int dim, const Numbers& starts, const Numbers& index,
                    const Contiguous& weight, int threads) {
  const int axes = static_cast<int>(x.ndim());
  if (!fit(threads, x, starts, index, weight) || dim < 2 || dim >= axes || axes > 5) return nb::none();
  const bool channels_last = x.is_innermost(1);
  npy_intp shape[5], steps[5], inner = 1;
  for (int i = 0; i < axes; ++i) shape[i] = size(x.shape(i));
  if (channels_last) inner = shape[1];
  for (int i = dim + 1; i < axes; ++i) inner *= shape[i];
  Resampling r{.length = shape[dim], .inner = inner, .starts = starts.data(),
               .index = index.data(), .weight = weight.data()};
  require(starts.size() >= 1 && index.size() == weight.size() && starts.data()[0] == 0 &&
              starts.data()[starts.size() - 1] == size(index.size()),
          "resample: starts, index and weight disagree");
  for (std::size_t i = 0; i + 1 < starts.size(); ++i)
    require(starts.data()[i] <= starts.data()[i + 1], "resample: starts go down");
  for (std::size_t i = 0; i < index.size(); ++i)
    require(0 <= index.data()[i] && index.data()[i] < r.length, "resample: no such index");
  r.outputs = shape[dim] = size(starts.size()) - 1;
  r.outer = 1;
  for (int i = 0; i < dim; ++i) r.outer *= channels_last && i == 1 ? 1 : shape[i];
  npy_intp step = sizeof(float);
  if (channels_last) {
    steps[1] = step;
    step *= shape[1];
    for (int i = axes - 1; i != 1; --i) {
      steps[i] = step;
      step *= shape[i];
    }
    steps[0] = step;
  }
  const New<float> y(axes, shape, channels_last ? steps : nullptr);
  run([&] { active().resample(r, x.data(), y.data(), threads); });
  return y.object();
}

// x is (N, H, W, C), at (N, P, 2).
Sampling sampling_of(const Shape& x, const Contiguous& at, bool nearest, int outside, int units) {
  require(at.ndim() == 3 && at.shape(0) == x[0] && at.shape(2) == 2 && x[1] > 0 && x[2] > 0 &&
              0 <= outside && outside <= 2 && 0 <= units && units <= 2,
          "sample_images: shapes or settings disagree");
  return {.images = size(x[0]), .channels = size(x[3]), .height = size(x[1]),
          .width = size(x[2]), .points = size(at.shape(1)), .nearest = nearest,
          .outside = static_cast<Outside>(outside), .units = static_cast<Units>(units)};
}

void require_gradient(const Sampling& s, const Contiguous& g) {
  require(g.ndim() == 3 && size(g.shape(0)) == s.images && size(g.shape(1)) == s.points &&
              size(g.shape(2)) == s.channels,
          "sample_images: the gradient's shape disagrees");
}

nb::object sample_images(const ChannelsLast& x, const Contiguous& at, bool nearest, int outside,
                         int units, int threads) {
  if (!fit(threads, x, at)) return nb::none();
  const Sampling s = sampling_of(shape_of(x), at, nearest, outside, units);
  const New<float> y = in_c_order({at.shape(0), at.shape(1), x.shape(3)});
  run([&] { active().sample_images(s, x.data(), at.data(), y.data(), threads); });
  return y.object();
}

nb::object sample_images_input_grad(const Contiguous& g, const Contiguous& at,
                                    const Shape& x_shape, bool nearest, int outside, int units,
                                    int threads) {
  if (!fit(threads, g, at)) return nb::none();
  const Shape x = in_memory(x_shape);
  const Sampling s = sampling_of(x, at, nearest, outside, units);
  require_gradient(s, g);
  const New<float> dx = images(x[0], x[1], x[2], x[3]);
  run([&] { active().sample_images_input_grad(s, g.data(), at.data(), dx.data(), threads); });
  return dx.object();
}

nb::object sample_images_place_grad(const Contiguous& g, const ChannelsLast& x,
                                    const Contiguous& at, bool nearest, int outside, int units,
                                    int threads) {
  if (!fit(threads, g, x, at)) return nb::none();
  const Sampling s = sampling_of(shape_of(x), at, nearest, outside, units);
  require_gradient(s, g);
  const New<float> dat = in_c_order({at.shape(0), at.shape(1), at.shape(2)});
  run([&] {
    active().sample_images_place_grad(s, g.data(), x.data(), at.data(), dat.data(), threads);
  });
  return dat.object();
}

}  // namespace

void bind_sampling(nb::module_& m) {
  m.def("resample", &resample, "x"_a, "dim"_a, "starts"_a, "index"_a, "weight"_a, "threads"_a);
  m.def("sample_images", &sample_images, "x"_a, "at"_a, "nearest"_a, "outside"_a, "units"_a,
        "threads"_a);
  m.def("sample_images_input_grad", &sample_images_input_grad, "g"_a, "at"_a, "x_shape"_a,
        "nearest"_a, "outside"_a, "units"_a, "threads"_a);
  m.def("sample_images_place_grad", &sample_images_place_grad, "g"_a, "x"_a, "at"_a, "nearest"_a,
        "outside"_a, "units"_a, "threads"_a);
}

}  // namespace chainrule
