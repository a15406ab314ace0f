// Which instruction set's kernels are used on this machine.
#pragma once
#include "kernels.hpp"

#include <string>
#include <vector>

namespace chainrule {

// Instruction sets that were compiled and that this processor has, best last.
std::vector<std::string> available_instruction_sets();

// Kernels in use; the best at first.
const Kernels& active();

// Uses one by name; false if it is not available.
bool choose(const std::string& instruction_set);

// What convolutions may use from now on; F(2x2, 3x3) where it is faster at first.
Winograd winograd();
void choose_winograd(Winograd);

}  // namespace chainrule
