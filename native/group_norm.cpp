// Contract: reference/group_norm.py. An image is (pixels, channels); one task handles it all, and
// finds it in cache when it walks it again.
#include "group_norm.hpp"

#include "affine.hpp"
#include "moments.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Mean and variance of a group of channels from theirs, which are over equally many values.
void join(const double* means, const double* vars, Index channels, float* mean, float* var) {
  double centre = 0, square = 0;
  for (Index c = 0; c < channels; ++c) centre += means[c];
  centre /= static_cast<double>(channels);
  for (Index c = 0; c < channels; ++c) square += vars[c] + (means[c] - centre) * (means[c] - centre);
  *mean = static_cast<float>(centre);
  *var = static_cast<float>(square / static_cast<double>(channels));
}

void normalise_image(const Groups& size, const float* x, const float* weight, const float* bias,
                     float eps, float* y, float* mean, float* var) {
  const Index channels = size.channels, members = channels / size.groups;
  Moments moments(1, channels);
  moments.add(0, x, size.pixels);
  const Doubles of_channels(2 * channels);
  double *means = of_channels, *vars = means + channels;
  moments.finish(means, vars);
  for (Index group = 0; group < size.groups; ++group)
    join(means + group * members, vars + group * members, members, mean + group, var + group);

  const Scratch of_groups(2 * channels);
  float *centre = of_groups, *inverse = of_groups + channels;
  for (Index group = 0; group < size.groups; ++group) {
    const float scale = static_cast<float>(inverse_std(var[group], eps));
    for (Index c = group * members; c < (group + 1) * members; ++c) {
      centre[c] = mean[group];
      inverse[c] = scale;
    }
  }
  Repeated vectors(channels, 3);
  vectors.fill(0, [=](Index c) { return centre[c]; });
  vectors.fill(1, [=](Index c) { return weight ? inverse[c] * weight[c] : inverse[c]; });
  vectors.fill(2, [=](Index c) { return bias ? bias[c] : 0.0f; });
  const Affine affine{vectors[0], vectors[1], vectors[2]};
  fill_places(0, size.pixels * channels, pattern_width(channels), y,
              [=]<class T>(Index i, Index c) { return affine(read<T>(x + i), c); });
}

// What dx = scale * g + tilt * (x - mean) + level needs, for each channel of an image, from its
// sum g and sum g (x - mean); these become sum g and sum g x_hat.
struct Slopes {
  float *scale, *tilt, *level;

  void find(const Groups& size, const float* weight, const float* var, float eps, double* sum_g,
            double* sum_gx) {
    const Index members = size.channels / size.groups;
    const double count = static_cast<double>(larger<Index>(size.pixels * members, 1));
    for (Index group = 0; group < size.groups; ++group) {
      const double inverse = inverse_std(var[group], eps);
      double mean_slope = 0, projection = 0;
      const Index first = group * members, last = first + members;
      for (Index c = first; c < last; ++c) {
        const double w = weight ? weight[c] : 1.0f;
        mean_slope += w * sum_g[c] / count;
        projection += w * sum_gx[c] / count;
        scale[c] = static_cast<float>(w * inverse);
        sum_gx[c] *= inverse;
      }
      for (Index c = first; c < last; ++c) {
        tilt[c] = static_cast<float>(-inverse * inverse * inverse * projection);
        level[c] = static_cast<float>(-inverse * mean_slope);
      }
    }
  }
};

// dx of an image; and for each channel, sum g and sum g x_hat.
void image_gradient(const Groups& size, const float* g, const float* x, const float* weight,
                    const float* mean, const float* var, float eps, float* dx, double* sums) {
  const Index channels = size.channels, members = channels / size.groups;
  const Index width = pattern_width(channels);
  const Scratch memory(4 * channels + 2 * (channels + width));
  float *centre = memory, *scratch = memory + 4 * channels;
  for (Index group = 0, c = 0; group < size.groups; ++group)
    for (Index m = 0; m < members; ++m, ++c) centre[c] = mean[group];
  Repeated vectors(channels, 4);
  const float *means = vectors[0], *scale = vectors[1], *tilt = vectors[2], *level = vectors[3];
  vectors.fill(0, [=](Index c) { return centre[c]; });
  for (Index i = 0; i < 2 * channels; ++i) sums[i] = 0;
  add_rows<2>(0, size.pixels, channels, width, sums, scratch, [=]<class T>(Index i, Index c) {
    const T slope = read<T>(g + i);
    return Terms<T, 2>{slope, slope * (read<T>(x + i) - read<T>(means + c))};
  });

  Slopes slopes{centre + channels, centre + 2 * channels, centre + 3 * channels};
  slopes.find(size, weight, var, eps, sums, sums + channels);
  vectors.fill(1, [=](Index c) { return slopes.scale[c]; });
  vectors.fill(2, [=](Index c) { return slopes.tilt[c]; });
  vectors.fill(3, [=](Index c) { return slopes.level[c]; });
  fill_places(0, size.pixels * channels, width, dx, [=]<class T>(Index i, Index c) {
    const T tilted = (read<T>(x + i) - read<T>(means + c)) * read<T>(tilt + c) + read<T>(level + c);
    return read<T>(g + i) * read<T>(scale + c) + tilted;
  });
}

}  // namespace

void group_norm(const Groups& size, const float* x, const float* weight, const float* bias,
                float eps, float* y, float* mean, float* var, int threads) {
  const Index image = size.pixels * size.channels;
  parallel_for(threads, static_cast<std::size_t>(size.images), [&](std::size_t task) {
    const Index n = static_cast<Index>(task);
    normalise_image(size, x + n * image, weight, bias, eps, y + n * image,
                    mean + n * size.groups, var + n * size.groups);
  });
}

void group_norm_backward(const Groups& size, const float* g, const float* x, const float* weight,
                         const float* mean, const float* var, float eps,
                         const NormGradients& to, int threads) {
  const Index image = size.pixels * size.channels, channels = size.channels;
  const Doubles of_images(2 * channels * size.images);
  parallel_for(threads, static_cast<std::size_t>(size.images), [&](std::size_t task) {
    const Index n = static_cast<Index>(task);
    image_gradient(size, g + n * image, x + n * image, weight, mean + n * size.groups,
                   var + n * size.groups, eps, to.dx + n * image, of_images + 2 * channels * n);
  });
  for (Index c = 0; c < channels; ++c) {
    double dbias = 0, dweight = 0;
    for (Index n = 0; n < size.images; ++n) {
      dbias += of_images[2 * channels * n + c];
      dweight += of_images[2 * channels * n + channels + c];
    }
    to.dbias[c] = static_cast<float>(dbias);
    to.dweight[c] = static_cast<float>(dweight);
  }
}

}  // namespace chainrule::CHAINRULE_ISA
