#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void softmax(const float* x, float* y, Index rows, Index classes, int threads);
void softmax_backward(const float* g, const float* y, float* dx, Index rows, Index classes,
                      int threads);
void log_softmax(const float* x, float* y, Index rows, Index classes, int threads);
void log_softmax_backward(const float* g, const float* y, float* dx, Index rows, Index classes,
                          int threads);
void cross_entropy(const float* logits, const std::int64_t* target, float* loss,
                   float* log_probs, Index rows, Index classes, int threads);
void cross_entropy_backward(const float* g, const float* log_probs, const std::int64_t* target,
                            float* dlogits, Index rows, Index classes, int threads);
void multi_margin_loss(const float* scores, const std::int64_t* target, bool squared,
                       float margin, float* loss, Index rows, Index classes, int threads);
void multi_margin_loss_backward(const float* g, const float* scores, const std::int64_t* target,
                                bool squared, float margin, float* dscores, Index rows,
                                Index classes, int threads);
void crammer_singer_loss(const float* scores, const std::int64_t* target, bool squared,
                         float margin, float* loss, Index rows, Index classes, int threads);
void crammer_singer_loss_backward(const float* g, const float* scores,
                                  const std::int64_t* target, bool squared, float margin,
                                  float* dscores, Index rows, Index classes, int threads);
void one_vs_all_loss(const float* scores, const std::int64_t* target, bool squared,
                     float margin, float* loss, Index rows, Index classes, int threads);
void one_vs_all_loss_backward(const float* g, const float* scores,
                              const std::int64_t* target, bool squared, float margin,
                              float* dscores, Index rows, Index classes, int threads);
double huber_sum(const float* x, const float* t, Index n, float delta, int threads);
void huber_sum_backward(const float* x, const float* t, float* dx, Index n, float delta,
                        float scale, int threads);

}  // namespace chainrule::CHAINRULE_ISA
