#include "dispatch.hpp"

namespace chainrule {

namespace portable {
extern const Kernels kernels;
}
#ifdef CHAINRULE_HAS_avx2
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
#endif

namespace {

std::vector<const Kernels*> available() {
  std::vector<const Kernels*> tables{&portable::kernels};
#ifdef CHAINRULE_HAS_avx2
  // What x86-64-v3 and -v4 contain and their kernels may use; both checks include the
  // operating system's support for the wide registers.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  if (avx2) tables.push_back(&avx2::kernels);
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    tables.push_back(&avx512::kernels);
#endif
  return tables;
}

const Kernels*& in_use() {
  static const Kernels* table = available().back();
  return table;
}

Winograd winograd_in_use{4, false};

}  // namespace

std::vector<std::string> available_instruction_sets() {
  std::vector<std::string> names;
  for (const Kernels* table : available()) names.emplace_back(table->instruction_set);
  return names;
}

const Kernels& active() { return *in_use(); }

bool choose(const std::string& instruction_set) {
  for (const Kernels* table : available()) {
    if (instruction_set == table->instruction_set) {
      in_use() = table;
      return true;
    }
  }
  return false;
}

Winograd winograd() { return winograd_in_use; }

void choose_winograd(Winograd setting) { winograd_in_use = setting; }

}  // namespace chainrule
