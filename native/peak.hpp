#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

double multiply_adds(Index steps, int threads);

}  // namespace chainrule::CHAINRULE_ISA
