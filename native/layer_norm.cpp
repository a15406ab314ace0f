// Contract: reference/group_norm.py. Each of the rows is normalised by itself; weight and bias
// have a value for each of its columns. RMS norm is layer norm with 0 for the mean.
#include "layer_norm.hpp"

#include "affine.hpp"
#include "moments.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

// The values, or as many of `missing` if there are none.
class ValuesOr {
 public:
  ValuesOr(const float* values, float missing, Index count)
      : made_(values ? 0 : count), values_(values ? values : made_) {
    for (Index i = 0; !values && i < count; ++i) made_[i] = missing;
  }
  operator const float*() const { return values_; }

 private:
  Scratch made_;
  const float* values_;
};

// Sums over rows: in float32 for a few of them, in float64 from there on.
constexpr Index rows_in_single = 32;

struct RowSums {
  float *dweight, *dbias;
  double *total_dweight, *total_dbias;

  void clear(Index columns) {
    for (Index i = 0; i < columns; ++i) dweight[i] = dbias[i] = 0;
  }
  void flush(Index columns) {
    for (Index i = 0; i < columns; ++i) total_dweight[i] += dweight[i];
    for (Index i = 0; i < columns; ++i) total_dbias[i] += dbias[i];
    clear(columns);
  }
};

void normalise_row(Index columns, const float* __restrict x, const float* __restrict weight,
                   const float* __restrict bias, float mean, float inverse,
                   float* __restrict y) {
  for (Index i = 0; i < columns; ++i) y[i] = (x[i] - mean) * inverse * weight[i] + bias[i];
}

float mean_square(Index columns, const float* x) {
  double sum = 0;
  for (Index first = 0; first < columns; first += run_in_single) {
    float of_run[1];
    sum_run<1>(first, smaller(first + run_in_single, columns), of_run, [=]<class T>(Index i) {
      const T value = read<T>(x + i);
      return Terms<T, 1>{value * value};
    });
    sum += of_run[0];
  }
  return static_cast<float>(sum / static_cast<double>(columns));
}

// dx of a row; adds to dweight and dbias. Of slopes w g: dx = (slope - mean(slope) -
// x_hat mean(slope x_hat)) / std; the mean of the slopes only where x's was taken off.
template <bool centred>
void row_gradient(Index columns, const float* __restrict g, const float* __restrict x,
                  const float* __restrict weight, float mean, double inverse,
                  float* __restrict dx, float* __restrict dweight, float* __restrict dbias) {
  double sums[2] = {};
  for (Index first = 0; first < columns; first += run_in_single) {
    float of_run[2];
    sum_run<2>(first, smaller(first + run_in_single, columns), of_run, [=]<class T>(Index i) {
      const T slope = read<T>(g + i) * read<T>(weight + i);
      return Terms<T, 2>{slope, slope * (read<T>(x + i) - mean)};
    });
    for (int s = 0; s < 2; ++s) sums[s] += of_run[s];
  }
  const double count = static_cast<double>(columns);
  const float scale = static_cast<float>(inverse);
  const float tilt = static_cast<float>(-inverse * inverse * sums[1] / count);
  const float level = centred ? static_cast<float>(-inverse * sums[0] / count) : 0.0f;
  for (Index i = 0; i < columns; ++i) {
    const float normal = (x[i] - mean) * scale;
    dx[i] = g[i] * weight[i] * scale + (normal * tilt + level);
    dweight[i] += g[i] * normal;
    dbias[i] += g[i];
  }
}

template <bool centred>
void backward(const Rows& size, const float* g, const float* x, const float* weight,
              const float* mean, const float* var, float eps, const NormGradients& to,
              int threads) {
  const Index columns = size.channels;
  const ValuesOr weights(weight, 1, columns);
  // A limited number of parts, as each keeps its sums.
  const Index rows_of_part = larger(ceil_div<Index>(size.rows, 16), ceil_div(pass_grain, columns));
  const Index parts = ceil_div(size.rows, rows_of_part);
  const Doubles totals(2 * columns * parts);
  parallel_for(threads, static_cast<std::size_t>(parts), [&](std::size_t task) {
    const Index part = static_cast<Index>(task);
    const Scratch single(2 * columns);
    double* total = totals + 2 * columns * part;
    RowSums sums{single, single + columns, total, total + columns};
    for (Index i = 0; i < 2 * columns; ++i) total[i] = 0;
    sums.clear(columns);
    const Index first = part * rows_of_part, last = smaller(first + rows_of_part, size.rows);
    for (Index row = first; row < last; ++row) {
      const Index place = row * columns;
      row_gradient<centred>(columns, g + place, x + place, weights, centred ? mean[row] : 0,
                            inverse_std(var[row], eps), to.dx + place, sums.dweight, sums.dbias);
      if ((row - first) % rows_in_single == rows_in_single - 1 || row + 1 == last)
        sums.flush(columns);
    }
  });
  for (Index i = 0; i < columns; ++i) {
    double dweight = 0, dbias = 0;
    for (Index part = 0; part < parts; ++part) {
      dweight += totals[2 * columns * part + i];
      dbias += totals[2 * columns * part + columns + i];
    }
    to.dweight[i] = static_cast<float>(dweight);
    to.dbias[i] = static_cast<float>(dbias);
  }
}

}  // namespace

void layer_norm(const Rows& size, const float* x, const float* weight, const float* bias,
                float eps, float* y, float* mean, float* var, int threads) {
  const Index columns = size.channels;
  const ValuesOr weights(weight, 1, columns), biases(bias, 0, columns);
  const float *w = weights, *b = biases;
  parallel_ranges(threads, size.rows, ceil_div(pass_grain, columns), [=](Index first, Index last) {
    for (Index row = first; row < last; ++row) {
      const float* from = x + row * columns;
      moments_of_run(from, columns, mean + row, var + row);
      const float inverse = static_cast<float>(inverse_std(var[row], eps));
      normalise_row(columns, from, w, b, mean[row], inverse, y + row * columns);
    }
  });
}

void layer_norm_backward(const Rows& size, const float* g, const float* x, const float* weight,
                         const float* mean, const float* var, float eps,
                         const NormGradients& to, int threads) {
  backward<true>(size, g, x, weight, mean, var, eps, to, threads);
}

void rms_norm(const Rows& size, const float* x, const float* weight, float eps, float* y,
              float* square, int threads) {
  const Index columns = size.channels;
  const ValuesOr weights(weight, 1, columns), zeros(nullptr, 0, columns);
  const float *w = weights, *b = zeros;
  parallel_ranges(threads, size.rows, ceil_div(pass_grain, columns), [=](Index first, Index last) {
    for (Index row = first; row < last; ++row) {
      const float* from = x + row * columns;
      square[row] = mean_square(columns, from);
      const float inverse = static_cast<float>(inverse_std(square[row], eps));
      normalise_row(columns, from, w, b, 0, inverse, y + row * columns);
    }
  });
}

void rms_norm_backward(const Rows& size, const float* g, const float* x, const float* weight,
                       const float* square, float eps, float* dx, float* dweight, int threads) {
  const Scratch dbias(size.channels);
  backward<false>(size, g, x, weight, nullptr, square, eps, {dx, dweight, dbias}, threads);
}

}  // namespace chainrule::CHAINRULE_ISA
