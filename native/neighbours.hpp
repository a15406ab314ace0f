#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

bool nearest(const Numbers& queries, const Numbers& points, Index k, Metric metric,
             double* distances, std::int64_t* index, int threads);

}  // namespace chainrule::CHAINRULE_ISA
