#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void linear_classifier(const LinearClassifier&, float* losses, float* dweight, float* dbias,
                       int threads);

}  // namespace chainrule::CHAINRULE_ISA
