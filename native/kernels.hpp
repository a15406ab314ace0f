// The native kernels' table: one filled table for each instruction set.
//
// Contracts are the docstrings of src/chainrule/kernels/reference. Arrays are float32; images
// are channels-last (N, H, W, C) and contiguous; the Python side sees to both. `threads` is
// the most threads to use and never changes a result.
#pragma once
#include <cstddef>
#include <cstdint>

namespace chainrule {

// How far convolutions may use Winograd's algorithm: squares of at most `most_tile` (0, 2 or 4)
// outputs along each axis, where they are faster, or, to test them, wherever they are possible.
struct Winograd {
  int most_tile;
  bool everywhere;
};

// Sizes of a convolution, in the names of reference/conv.py; channels and outputs are those of
// all groups together.
struct Convolution {
  std::ptrdiff_t images, channels, height, width;
  std::ptrdiff_t outputs, kernel_height, kernel_width;
  std::ptrdiff_t out_height, out_width;
  std::ptrdiff_t stride_height, stride_width;
  std::ptrdiff_t padding_height, padding_width;
  std::ptrdiff_t dilation_height, dilation_width;
  std::ptrdiff_t groups;
  Winograd winograd;
};

// y = relu(y * scale[o] + shift[o] + add), each step only where it is given (scale and shift come
// together): what a convolution does to its result before it is stored. add is laid out as y.
struct Epilogue {
  const float* scale = nullptr;
  const float* shift = nullptr;
  const float* add = nullptr;
  bool relu = false;
  // What is written is also gathered: each channel's mean and biased variance; both or null.
  float* mean = nullptr;
  float* var = nullptr;
};

// In the order of native.py's SCORE_LOSSES.
enum class ScoreLoss { cross_entropy, weston_watkins, crammer_singer, one_vs_all };

// x (samples, features), weight (classes, features), bias (classes) or null, target (samples) in
// [0, classes), the margin, and whether hinges are squared.
struct LinearClassifier {
  const float *x, *weight, *bias;
  const std::int64_t* target;
  ScoreLoss loss;
  bool squared;
  float margin;
  std::ptrdiff_t samples, features, classes;
};

// Volumes of `depth` frames, and windows of `taps` of them at `places` along depth.
struct Frames {
  std::ptrdiff_t images, depth, pixels, channels;
  std::ptrdiff_t places, taps, stride, padding, dilation;
  std::ptrdiff_t groups;
};

struct Pool {
  std::ptrdiff_t images, channels, height, width;
  std::ptrdiff_t out_height, out_width;
  std::ptrdiff_t kernel_height, kernel_width;
  std::ptrdiff_t stride_height, stride_width;
  std::ptrdiff_t padding_height, padding_width;
  std::ptrdiff_t dilation_height, dilation_width;
};

// A resampling along one axis of memory (outer, length, inner): output o is the sum of weight[j]
// times place index[j] over starts[o] <= j < starts[o + 1].
struct Resampling {
  std::ptrdiff_t outer, length, inner, outputs;
  const std::int64_t *starts, *index;
  const float* weight;
};

// What stands for the image beyond its border, and what coordinates count; as
// reference/sampling.py numbers them.
enum class Outside { zero, border, reflected };
enum class Units { edges, centres, pixels };

// Points (x, y) at which each image is read.
struct Sampling {
  std::ptrdiff_t images, channels, height, width, points;
  bool nearest;
  Outside outside;
  Units units;
};

struct Images {
  std::ptrdiff_t count, channels, height, width;
};

// Parts of an axis to average over: bin i is [edges[2i], edges[2i + 1]), its divisor divisors[i].
struct Bins {
  std::ptrdiff_t count;
  const std::int64_t* edges;
  const float* divisors;
};

// The size of memory whose axes but the channels' are seen as one. So many of a channel's values
// stand side by side as `run` says: one in channels-last memory; in channels-first memory, which
// is (rows / run, channels, run), an image's.
struct Rows {
  std::ptrdiff_t rows, channels, run = 1;
};

// Channels-last images whose channels are normalised in groups, each image by itself.
struct Groups {
  std::ptrdiff_t images, pixels, channels, groups;
};

// y = (x - mean) * weight / sqrt(var + eps) + bias, a value a channel; weight, bias may be null.
struct Normalisation {
  const float* mean;
  const float* var;
  const float* weight;
  const float* bias;
  float eps;
};

struct NormGradients {
  float* dx;
  float* dweight;
  float* dbias;
};

// A matrix in memory: steps to the next row and to the next column, in floats.
struct Operand {
  const float* data;
  std::ptrdiff_t row_step, col_step;
};

// Rows of numbers of some type: a row's numbers stand side by side, `step` of them from row to row.
enum class NumberType { uint8, float32, float64 };
struct Numbers {
  const void* data;
  NumberType type;
  std::ptrdiff_t rows, width, step;
};

enum class Metric { l2, l1, cosine };

// A parameter in an optimizer's hands. Its arrays have the same order in memory and do not overlap.
struct Optimized {
  float* weight;
  const float* grad;
  float* state[3];  // what the rule remembers, in the order of the contract; null: not this
  std::ptrdiff_t size;
};

// Numbers of the rules, as reference/optimizer.py has them. Each begins with
// g = -g if maximize; g = g + weight_decay w.
struct Slope {
  float weight_decay;
  bool maximize;
};

struct Sgd {  // state: v, or nothing without momentum
  Slope slope;
  float lr, momentum, gain;  // gain = 1 - dampening
  bool nesterov;
};

struct Momentum {  // state: v
  Slope slope;
  float lr, momentum;
  bool nesterov;
};

// w = keep w - lr m/(sqrt(v) + eps): lr and eps contain the corrections for the start.
struct Adam {  // state: m, v, and the peak of v if it is amsgrad
  Slope slope;
  float lr, eps, beta1, one_minus_beta1, beta2, one_minus_beta2, keep;
};

struct Moments {  // state: m, v
  Slope slope;
  float mean_rate, grad_rate, eps, beta1, one_minus_beta1, beta2, one_minus_beta2, keep;
  bool adaptive;
};

struct Adamax {  // state: m, u
  Slope slope;
  float lr, beta1, one_minus_beta1, beta2, eps;
};

struct Adagrad {  // state: s
  Slope slope;
  float lr, eps;
};

struct RmsProp {  // state: v, m if centered, b if there is momentum
  Slope slope;
  float lr, alpha, one_minus_alpha, eps, momentum;
};

struct Adadelta {  // state: v, d
  Slope slope;
  float lr, rho, one_minus_rho, eps;
};

struct Asgd {  // state: a
  Slope slope;
  float lr, keep, share;
};

struct Rprop {  // state: the gradient before, step sizes
  Slope slope;
  float shrink, grow, smallest, largest;
};

struct Kernels {
  const char* instruction_set;
  // y = max(x, 0); n elements. y may alias x, here and in hardtanh.
  void (*relu)(const float* x, float* y, std::ptrdiff_t n, int threads);
  // dx = g where y > 0, else 0; n elements. dx may alias g.
  void (*relu_backward)(const float* g, const float* y, float* dx, std::ptrdiff_t n, int threads);
  // As above; y is the forward result.
  void (*sigmoid)(const float* x, float* y, std::ptrdiff_t n, int threads);
  void (*sigmoid_backward)(const float* g, const float* y, float* dx, std::ptrdiff_t n,
                           int threads);
  void (*tanh)(const float* x, float* y, std::ptrdiff_t n, int threads);
  void (*tanh_backward)(const float* g, const float* y, float* dx, std::ptrdiff_t n, int threads);
  // The gradients of these are made from their argument x.
  void (*leaky_relu)(const float* x, float* y, std::ptrdiff_t n, float slope, int threads);
  void (*leaky_relu_backward)(const float* g, const float* x, float* dx, std::ptrdiff_t n,
                              float slope, int threads);
  void (*elu)(const float* x, float* y, std::ptrdiff_t n, float alpha, float scale,
              float input_scale, int threads);
  void (*elu_backward)(const float* g, const float* x, float* dx, std::ptrdiff_t n, float alpha,
                       float scale, float input_scale, int threads);
  void (*gelu)(const float* x, float* y, std::ptrdiff_t n, bool by_tanh, int threads);
  void (*gelu_backward)(const float* g, const float* x, float* dx, std::ptrdiff_t n, bool by_tanh,
                        int threads);
  void (*silu)(const float* x, float* y, std::ptrdiff_t n, int threads);
  void (*silu_backward)(const float* g, const float* x, float* dx, std::ptrdiff_t n, int threads);
  void (*hardswish)(const float* x, float* y, std::ptrdiff_t n, int threads);
  void (*hardswish_backward)(const float* g, const float* x, float* dx, std::ptrdiff_t n,
                             int threads);
  void (*hardsigmoid)(const float* x, float* y, std::ptrdiff_t n, int threads);
  void (*hardsigmoid_backward)(const float* g, const float* x, float* dx, std::ptrdiff_t n,
                           int threads);
  void (*mish)(const float* x, float* y, std::ptrdiff_t n, int threads);
  void (*mish_backward)(const float* g, const float* x, float* dx, std::ptrdiff_t n,
                    int threads);
  void (*hardtanh)(const float* x, float* y, std::ptrdiff_t n, float low, float high, int threads);
  void (*hardtanh_backward)(const float* g, const float* x, float* dx, std::ptrdiff_t n, float low,
                            float high, int threads);
  void (*clamp_backward)(const float* g, const float* x, float* dx, std::ptrdiff_t n, float low,
                         float high, int threads);
  void (*softplus)(const float* x, float* y, std::ptrdiff_t n, float beta, float threshold,
                   int threads);
  void (*softplus_backward)(const float* g, const float* x, float* dx, std::ptrdiff_t n,
                            float beta, float threshold, int threads);
  void (*logsigmoid)(const float* x, float* y, std::ptrdiff_t n, int threads);
  void (*logsigmoid_backward)(const float* g, const float* x, float* dx, std::ptrdiff_t n,
                              int threads);
  void (*hardshrink)(const float* x, float* y, std::ptrdiff_t n, float lambd, int threads);
  void (*softshrink)(const float* x, float* y, std::ptrdiff_t n, float lambd, int threads);
  // Of both.
  void (*shrink_backward)(const float* g, const float* x, float* dx, std::ptrdiff_t n,
                          float lambd, int threads);
  // A weight a channel.
  void (*prelu)(const Rows&, const float* x, const float* weight, float* y, int threads);
  void (*prelu_backward)(const Rows&, const float* g, const float* x, const float* weight,
                         float* dx, float* dweight, int threads);
  // weight and dw are (O, C/groups, KH, KW); bias may be null. dx, y and dw are overwritten.
  void (*conv2d)(const Convolution&, const float* x, const float* weight, const float* bias,
                 const Epilogue&, float* y, int threads);
  void (*conv2d_input_grad)(const Convolution&, const float* g, const float* weight, float* dx,
                            int threads);
  void (*conv2d_weight_grad)(const Convolution&, const float* g, const float* x, float* dw,
                             int threads);
  // x and dx are (N, D, H, W, C); y and g (N·places, H, W, groups·taps·C/groups).
  void (*gather_frames)(const Frames&, const float* x, float* y, int threads);
  void (*add_frames)(const Frames&, const float* g, float* dx, int threads);
  // c (rows, cols) = a (rows, depth) b (depth, cols) + bias (cols), which may be null; with relu,
  // the larger of that and 0.
  void (*matrix_product)(const Operand& a, const Operand& b, const float* bias, bool relu, float* c,
                         std::ptrdiff_t rows, std::ptrdiff_t cols, std::ptrdiff_t depth,
                         int threads);
  // losses (samples), and the gradient of their mean: dweight as weight, dbias (classes).
  void (*linear_classifier)(const LinearClassifier&, float* losses, float* dweight, float* dbias,
                            int threads);
  // distances and index are (queries, k), with 0 < k <= points. False, and nothing written, where
  // numbers are not finite, or too large for the bounds of the errors that are made here.
  bool (*nearest)(const Numbers& queries, const Numbers& points, std::ptrdiff_t k, Metric,
                  double* distances, std::int64_t* index, int threads);
  // Vectors hold one value a channel; all else has `Rows`. add may be null.
  void (*moments)(const Rows&, const float* x, float* mean, float* var, int threads);
  void (*normalise)(const Rows&, const Normalisation&, const float* x, const float* add, bool relu,
                    float* y, int threads);
  void (*scale_shift)(const Rows&, const float* x, const float* scale, const float* shift,
                      const float* add, bool relu, float* y, int threads);
  void (*scale_and_shift)(const Normalisation&, std::ptrdiff_t channels, float* scale, float* shift,
                          float* inverse);
  void (*batch_norm_backward)(const Rows&, const Normalisation&, const float* g, const float* x,
                              const NormGradients&, int threads);
  void (*batch_norm_relu_backward)(const Rows&, const Normalisation&, const float* g,
                                   const float* x, const NormGradients&, int threads);
  void (*batch_norm_add_relu_backward)(const Rows&, const Normalisation&, const float* g,
                                       const float* y, const float* x, const NormGradients&,
                                       float* masked, int threads);
  void (*channel_sum)(const Rows&, const float* g, float* sum, int threads);
  void (*relu_bias_backward)(const Rows&, const float* g, const float* y, float* masked,
                             float* dbias, int threads);
  // mean and var hold a value for each row and for each group of an image; weight and bias, which
  // may be null, for each channel.
  void (*layer_norm)(const Rows&, const float* x, const float* weight, const float* bias,
                     float eps, float* y, float* mean, float* var, int threads);
  void (*layer_norm_backward)(const Rows&, const float* g, const float* x, const float* weight,
                              const float* mean, const float* var, float eps,
                              const NormGradients&, int threads);
  void (*rms_norm)(const Rows&, const float* x, const float* weight, float eps, float* y,
                   float* square, int threads);
  void (*rms_norm_backward)(const Rows&, const float* g, const float* x, const float* weight,
                            const float* square, float eps, float* dx, float* dweight,
                            int threads);
  void (*group_norm)(const Groups&, const float* x, const float* weight, const float* bias,
                     float eps, float* y, float* mean, float* var, int threads);
  void (*group_norm_backward)(const Groups&, const float* g, const float* x, const float* weight,
                              const float* mean, const float* var, float eps,
                              const NormGradients&, int threads);
  // index holds the tap kh*KW + kw that won.
  void (*max_pool2d)(const Pool&, const float* x, float* y, std::uint8_t* index, int threads);
  void (*max_pool2d_backward)(const Pool&, const float* g, const std::uint8_t* index, float* dx,
                              int threads);
  // y = a + b; n elements. y may alias a or b.
  void (*add)(const float* a, const float* b, float* y, std::ptrdiff_t n, int threads);
  // y (count, cols, rows) = x (count, rows, cols), each matrix transposed.
  void (*transpose)(std::ptrdiff_t count, std::ptrdiff_t rows, std::ptrdiff_t cols, const float* x,
                    float* y, int threads);
  // Arrays are (rows, classes); g of a loss, loss and target are (rows), targets in [0, classes).
  void (*softmax)(const float* x, float* y, std::ptrdiff_t rows, std::ptrdiff_t classes,
                  int threads);
  void (*softmax_backward)(const float* g, const float* y, float* dx, std::ptrdiff_t rows,
                           std::ptrdiff_t classes, int threads);
  void (*log_softmax)(const float* x, float* y, std::ptrdiff_t rows, std::ptrdiff_t classes,
                      int threads);
  void (*log_softmax_backward)(const float* g, const float* y, float* dx, std::ptrdiff_t rows,
                               std::ptrdiff_t classes, int threads);
  void (*cross_entropy)(const float* logits, const std::int64_t* target, float* loss,
                        float* log_probs, std::ptrdiff_t rows, std::ptrdiff_t classes,
                        int threads);
  void (*cross_entropy_backward)(const float* g, const float* log_probs,
                                 const std::int64_t* target, float* dlogits, std::ptrdiff_t rows,
                                 std::ptrdiff_t classes, int threads);
  void (*multi_margin_loss)(const float* scores, const std::int64_t* target, bool squared,
                            float margin, float* loss, std::ptrdiff_t rows,
                            std::ptrdiff_t classes, int threads);
  void (*multi_margin_loss_backward)(const float* g, const float* scores,
                                     const std::int64_t* target, bool squared, float margin,
                                     float* dscores, std::ptrdiff_t rows, std::ptrdiff_t classes,
                                     int threads);
  void (*crammer_singer_loss)(const float* scores, const std::int64_t* target, bool squared,
                              float margin, float* loss, std::ptrdiff_t rows,
                              std::ptrdiff_t classes, int threads);
  void (*crammer_singer_loss_backward)(const float* g, const float* scores,
                                       const std::int64_t* target, bool squared, float margin,
                                       float* dscores, std::ptrdiff_t rows,
                                       std::ptrdiff_t classes, int threads);
  void (*one_vs_all_loss)(const float* scores, const std::int64_t* target, bool squared,
                          float margin, float* loss, std::ptrdiff_t rows,
                          std::ptrdiff_t classes, int threads);
  void (*one_vs_all_loss_backward)(const float* g, const float* scores,
                                   const std::int64_t* target, bool squared, float margin,
                                   float* dscores, std::ptrdiff_t rows,
                                   std::ptrdiff_t classes, int threads);
  double (*huber_sum)(const float* x, const float* t, std::ptrdiff_t n, float delta,
                      int threads);
  void (*huber_sum_backward)(const float* x, const float* t, float* dx, std::ptrdiff_t n,
                             float delta, float scale, int threads);
  // y = scale x where the element's random word is at least the threshold, else 0.
  void (*dropout)(const float* x, float* y, std::ptrdiff_t n, std::uint32_t threshold,
                  float scale, std::uint64_t key, int threads);
  // y (N, rows, cols, C): the sum over each bin by the product of its two divisors.
  void (*mean_pool)(const Images&, const Bins& rows, const Bins& cols, const float* x, float* y,
                    int threads);
  void (*mean_pool_backward)(const Images&, const Bins& rows, const Bins& cols, const float* g,
                             float* dx, int threads);
  void (*resample)(const Resampling&, const float* x, float* y, int threads);
  // x and dx are (N, H, W, C), at and dat (N, P, 2), y and g (N, P, C).
  void (*sample_images)(const Sampling&, const float* x, const float* at, float* y, int threads);
  void (*sample_images_input_grad)(const Sampling&, const float* g, const float* at, float* dx,
                                   int threads);
  void (*sample_images_place_grad)(const Sampling&, const float* g, const float* x,
                                   const float* at, float* dat, int threads);
  void (*sgd_step)(const Optimized*, std::ptrdiff_t count, const Sgd&, int threads);
  void (*momentum_step)(const Optimized*, std::ptrdiff_t count, const Momentum&, int threads);
  void (*adam_step)(const Optimized*, std::ptrdiff_t count, const Adam&, int threads);
  void (*moments_step)(const Optimized*, std::ptrdiff_t count, const Moments&, int threads);
  void (*adamax_step)(const Optimized*, std::ptrdiff_t count, const Adamax&, int threads);
  void (*adagrad_step)(const Optimized*, std::ptrdiff_t count, const Adagrad&, int threads);
  void (*rmsprop_step)(const Optimized*, std::ptrdiff_t count, const RmsProp&, int threads);
  void (*adadelta_step)(const Optimized*, std::ptrdiff_t count, const Adadelta&, int threads);
  void (*asgd_step)(const Optimized*, std::ptrdiff_t count, const Asgd&, int threads);
  void (*rprop_step)(const Optimized*, std::ptrdiff_t count, const Rprop&, int threads);
  // No kernel, but their measure: `steps` rounds of independent multiply-adds in registers on
  // each thread. Returns how many floating-point operations were done.
  double (*multiply_adds)(std::ptrdiff_t steps, int threads);
};

}  // namespace chainrule
