#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void sgd_step(const Optimized* parameters, Index count, const Sgd& rule, int threads);
void momentum_step(const Optimized* parameters, Index count, const Momentum& rule, int threads);
void adam_step(const Optimized* parameters, Index count, const Adam& rule, int threads);
void moments_step(const Optimized* parameters, Index count, const Moments& rule, int threads);
void adamax_step(const Optimized* parameters, Index count, const Adamax& rule, int threads);
void adagrad_step(const Optimized* parameters, Index count, const Adagrad& rule, int threads);
void rmsprop_step(const Optimized* parameters, Index count, const RmsProp& rule, int threads);
void adadelta_step(const Optimized* parameters, Index count, const Adadelta& rule, int threads);
void asgd_step(const Optimized* parameters, Index count, const Asgd& rule, int threads);
void rprop_step(const Optimized* parameters, Index count, const Rprop& rule, int threads);

}  // namespace chainrule::CHAINRULE_ISA
