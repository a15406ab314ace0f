// Contract: reference/norm.py. Arrays are (rows, channels), all axes but the channels' being one,
// or (images, channels, pixels).
//
// All of this waits for memory: what counts is how often an array is walked. A pass that
// follows another over the same arrays goes through them backwards, so that it starts with what
// is still in cache.
#include "norm.hpp"

#include "affine.hpp"
#include "channels.hpp"
#include "moments.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

enum class Order { forwards, backwards };

// The same for channels-first memory.
template <class Body>
void map_runs(const Rows& size, Order order, float* y, int threads, Body body) {
  const Index runs = size.rows / size.run * size.channels, grain = runs_of_task(size);
  const Index tasks = ceil_div(runs, grain);
  parallel_for(threads, static_cast<std::size_t>(tasks), [&](std::size_t task) {
    const Index place = static_cast<Index>(task);
    const Index first = (order == Order::forwards ? place : tasks - 1 - place) * grain;
    for (Index run = first; run < smaller(runs, first + grain); ++run)
      fill_run(run * size.run, (run + 1) * size.run, Channel{run % size.channels}, y, body);
  });
}

// y[i] = body<T>(i, column) for every place.
template <class Body>
void map(const Rows& size, Order order, float* y, int threads, Body body) {
  if (size.run > 1) return map_runs(size, order, y, threads, body);
  const Index n = size.rows * size.channels, width = pattern_width(size.channels);
  const Index grain = ceil_div(pass_grain, width) * width;
  const Index tasks = ceil_div(n, grain);
  parallel_for(threads, static_cast<std::size_t>(tasks), [&](std::size_t task) {
    const Index place = static_cast<Index>(task);
    const Index first = (order == Order::forwards ? place : tasks - 1 - place) * grain;
    fill_places(first, smaller(n, first + grain), width, y, body);
  });
}

// The same for channels-first memory: each run by itself, then those of a channel in order.
template <int sums, class Body>
void sum_runs(const Rows& size, double* totals, int threads, Body body) {
  const Index images = size.rows / size.run, channels = size.channels;
  const Doubles of_runs(images * channels * sums);
  parallel_ranges(threads, images * channels, runs_of_task(size), [&](Index first, Index last) {
    for (Index run = first; run < last; ++run) {
      double* run_totals = of_runs + run * sums;
      for (int s = 0; s < sums; ++s) run_totals[s] = 0;
      const Channel channel{run % channels};
      const Index end = (run + 1) * size.run;
      for (Index i = run * size.run; i < end; i += run_in_single) {
        float part[sums];
        sum_run<sums>(i, smaller(end, i + run_in_single), part, [=]<class T>(Index place) {
          return body.template operator()<T>(place, channel);
        });
        for (int s = 0; s < sums; ++s) run_totals[s] += part[s];
      }
    }
  });
  for (Index i = 0; i < sums * channels; ++i) totals[i] = 0;
  for (Index run = 0; run < images * channels; ++run)
    for (int s = 0; s < sums; ++s)
      totals[s * channels + run % channels] += of_runs[run * sums + s];
}

// totals[s * channels + c] = the sum of term s of body<T>(i, column) over the places of c.
template <int sums, class Body>
void sum_channels(const Rows& size, double* totals, int threads, Body body) {
  if (size.run > 1) return sum_runs<sums>(size, totals, threads, body);
  const Index width = pattern_width(size.channels), terms = sums * size.channels;
  const Parts parts = cut_into_parts(size, width);
  const Doubles of_parts(parts.count * terms);
  parallel_for(threads, static_cast<std::size_t>(parts.count), [&](std::size_t task) {
    const Index part = static_cast<Index>(task);
    double* part_totals = of_parts + part * terms;
    for (Index i = 0; i < terms; ++i) part_totals[i] = 0;
    const Scratch scratch(terms + sums * width);
    add_rows<sums>(parts.first(part), parts.last(part), size.channels, width, part_totals,
                   scratch, body);
  });
  for (Index i = 0; i < terms; ++i) totals[i] = 0;
  for (Index part = 0; part < parts.count; ++part)
    for (Index i = 0; i < terms; ++i) totals[i] += of_parts[part * terms + i];
}

double scale_of(const Normalisation& norm, Index c) {
  return inverse_std(norm.var[c], norm.eps) * (norm.weight ? norm.weight[c] : 1.0f);
}

Affine fill_affine(Repeated& vectors, const Normalisation& norm) {
  vectors.fill(0, [&](Index c) { return norm.mean[c]; });
  vectors.fill(1, [&](Index c) { return static_cast<float>(scale_of(norm, c)); });
  vectors.fill(2, [&](Index c) { return norm.bias ? norm.bias[c] : 0.0f; });
  return {vectors[0], vectors[1], vectors[2]};
}

// y = relu(affine(x) + add), the last two only where they are wanted.
void map_affine(const Rows& size, const Affine& affine, const float* x, const float* add,
                bool relu, float* y, int threads) {
  const auto run = [&](auto finish) {
    map(size, Order::forwards, y, threads, [=]<class T>(Index i, auto c) {
      return finish(affine(read<T>(x + i), c), i);
    });
  };
  if (add && relu)
    run([=]<class T>(T value, Index i) { return positive_part(value + read<T>(add + i)); });
  else if (add)
    run([=]<class T>(T value, Index i) { return value + read<T>(add + i); });
  else if (relu)
    run([]<class T>(T value, Index) { return positive_part(value); });
  else
    run([]<class T>(T value, Index) { return value; });
}

// The gradient of the normalisation's result at a place, from what lies behind it.

struct Plain {
  const float* g;

  template <class T, class Column>
  T operator()(T, Index i, Column) const { return read<T>(g + i); }
};

struct ThroughRelu {  // of affine(x), computed again
  const float* g;
  Affine affine;

  template <class T, class Column>
  T operator()(T x, Index i, Column c) const {
    return where_positive(affine(x, c), read<T>(g + i));
  }
};

struct ThroughReluOf {  // with result y; what passes is kept
  const float *g, *y;
  float* masked;

  template <class T, class Column>
  T operator()(T, Index i, Column) const {
    const T slope = where_positive(read<T>(y + i), read<T>(g + i));
    write(masked + i, slope);
    return slope;
  }
};

// First pass: db = sum g, and sum g (x - mean). Second pass, with dw and db known:
// dx = w/std (g - db/m - x_hat dw/m) = scale * g + tilt * (x - mean) + level.
template <class FirstSlope, class SecondSlope>
void backward(const Rows& size, const Normalisation& norm, const float* x, const Affine& affine,
              FirstSlope first_slope, SecondSlope second_slope, const NormGradients& to,
              int threads) {
  const Index channels = size.channels;
  const float *mean = affine.mean, *scale = affine.scale;
  const Doubles totals(2 * channels);
  sum_channels<2>(size, totals, threads, [=]<class T>(Index i, auto c) {
    const T value = read<T>(x + i);
    const T slope = first_slope(value, i, c);
    return Terms<T, 2>{slope, slope * (value - value_of<T>(mean, c))};
  });
  const double* sum_g = totals;
  const double* sum_gx = totals + channels;

  const double count = static_cast<double>(larger<Index>(size.rows, 1));
  for (Index c = 0; c < channels; ++c) {
    to.dbias[c] = static_cast<float>(sum_g[c]);
    to.dweight[c] = static_cast<float>(sum_gx[c] * inverse_std(norm.var[c], norm.eps));
  }
  Repeated vectors(channels, 2);
  const float *tilt = vectors[0], *level = vectors[1];
  vectors.fill(0, [&](Index c) {
    const double inverse = inverse_std(norm.var[c], norm.eps);
    return static_cast<float>(-scale_of(norm, c) * inverse * inverse * sum_gx[c] / count);
  });
  vectors.fill(1, [&](Index c) {
    return static_cast<float>(-scale_of(norm, c) * sum_g[c] / count);
  });
  map(size, Order::backwards, to.dx, threads, [=]<class T>(Index i, auto c) {
    const T value = read<T>(x + i);
    const T tilted = (value - value_of<T>(mean, c)) * value_of<T>(tilt, c) + value_of<T>(level, c);
    return second_slope(value, i, c) * value_of<T>(scale, c) + tilted;
  });
}

}  // namespace

void moments(const Rows& size, const float* x, float* mean, float* var, int threads) {
  if (size.run > 1) return moments_of_runs(size, x, mean, var, threads);
  const Parts parts = cut_into_parts(size, pattern_width(size.channels));
  Moments gathered(parts.count, size.channels);
  parallel_for(threads, static_cast<std::size_t>(parts.count), [&](std::size_t task) {
    const Index part = static_cast<Index>(task), first = parts.first(part);
    gathered.add(part, x + first * size.channels, parts.last(part) - first);
  });
  gathered.finish(mean, var);
}

void normalise(const Rows& size, const Normalisation& norm, const float* x, const float* add,
               bool relu, float* y, int threads) {
  Repeated vectors(size.channels, 3);
  map_affine(size, fill_affine(vectors, norm), x, add, relu, y, threads);
}

void scale_shift(const Rows& size, const float* x, const float* scale, const float* shift,
                 const float* add, bool relu, float* y, int threads) {
  Repeated vectors(size.channels, 3);
  vectors.fill(0, [](Index) { return 0.0f; });  // x - 0 is x, to the bit
  vectors.fill(1, [=](Index c) { return scale[c]; });
  vectors.fill(2, [=](Index c) { return shift[c]; });
  map_affine(size, {vectors[0], vectors[1], vectors[2]}, x, add, relu, y, threads);
}

void scale_and_shift(const Normalisation& norm, Index channels, float* scale, float* shift,
                     float* inverse) {
  for (Index c = 0; c < channels; ++c) {
    inverse[c] = static_cast<float>(inverse_std(norm.var[c], norm.eps));
    scale[c] = static_cast<float>(scale_of(norm, c));
    const double level = static_cast<double>(norm.mean[c]) * scale[c];
    shift[c] = static_cast<float>((norm.bias ? norm.bias[c] : 0.0) - level);
  }
}

void batch_norm_backward(const Rows& size, const Normalisation& norm, const float* g,
                         const float* x, const NormGradients& to, int threads) {
  Repeated vectors(size.channels, 3);
  backward(size, norm, x, fill_affine(vectors, norm), Plain{g}, Plain{g}, to, threads);
}

void batch_norm_relu_backward(const Rows& size, const Normalisation& norm, const float* g,
                              const float* x, const NormGradients& to, int threads) {
  Repeated vectors(size.channels, 3);
  const Affine affine = fill_affine(vectors, norm);
  const ThroughRelu slope{g, affine};
  backward(size, norm, x, affine, slope, slope, to, threads);
}

void batch_norm_add_relu_backward(const Rows& size, const Normalisation& norm, const float* g,
                                  const float* y, const float* x, const NormGradients& to,
                                  float* masked, int threads) {
  Repeated vectors(size.channels, 3);
  backward(size, norm, x, fill_affine(vectors, norm), ThroughReluOf{g, y, masked}, Plain{masked},
           to, threads);
}

void channel_sum(const Rows& size, const float* g, float* sum, int threads) {
  const Doubles totals(size.channels);
  sum_channels<1>(size, totals, threads,
                  [=]<class T>(Index i, auto) { return Terms<T, 1>{read<T>(g + i)}; });
  for (Index c = 0; c < size.channels; ++c) sum[c] = static_cast<float>(totals[c]);
}

void relu_bias_backward(const Rows& size, const float* g, const float* y, float* masked,
                        float* dbias, int threads) {
  const Doubles totals(size.channels);
  const ThroughReluOf slope{g, y, masked};
  sum_channels<1>(size, totals, threads,
                  [=]<class T>(Index i, auto c) { return Terms<T, 1>{slope(T{}, i, c)}; });
  for (Index c = 0; c < size.channels; ++c) dbias[c] = static_cast<float>(totals[c]);
}

void prelu(const Rows& size, const float* x, const float* weight, float* y, int threads) {
  Repeated vectors(size.channels, 1);
  vectors.fill(0, [=](Index c) { return weight[c]; });
  const float* slope = vectors[0];
  map(size, Order::forwards, y, threads, [=]<class T>(Index i, auto c) {
    const T value = read<T>(x + i);
    return value > T{} ? value : value * value_of<T>(slope, c);
  });
}

void prelu_backward(const Rows& size, const float* g, const float* x, const float* weight,
                    float* dx, float* dweight, int threads) {
  Repeated vectors(size.channels, 1);
  vectors.fill(0, [=](Index c) { return weight[c]; });
  const float* slope = vectors[0];
  const Doubles totals(size.channels);
  sum_channels<1>(size, totals, threads, [=]<class T>(Index i, auto c) {
    const T value = read<T>(x + i), gradient = read<T>(g + i);
    write(dx + i, value > T{} ? gradient : gradient * value_of<T>(slope, c));
    return Terms<T, 1>{value > T{} ? T{} : gradient * value};
  });
  for (Index c = 0; c < size.channels; ++c) dweight[c] = static_cast<float>(totals[c]);
}

}  // namespace chainrule::CHAINRULE_ISA
