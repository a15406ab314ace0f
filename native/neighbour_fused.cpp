// Tiles of instructions that not every processor of the instruction set has: it is asked first.
#include "neighbour_tile.hpp"

namespace chainrule::CHAINRULE_ISA {

// Clang knows instructions only in files that are compiled for them.
#if defined(CHAINRULE_ISA_avx512) && !defined(__clang__)

namespace {

struct FusedPairs : Pairs {
  static IntVector add(IntVector sum, IntVector x, IntVector y) {
    asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(y));
    return sum;
  }
};

struct Quads : Pairs {
  static IntVector add(IntVector sum, IntVector x, IntVector y) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(y));
    return sum;
  }
};

bool has_instructions() { return __builtin_cpu_supports("avx512vnni"); }

}  // namespace

NeighbourTile pair_tile_of(Index rows) {
  return has_instructions() ? neighbour_tile_of<FusedPairs>(rows) : nullptr;
}

NeighbourTile byte_tile_of(Index rows) {
  return has_instructions() ? neighbour_tile_of<Quads>(rows) : nullptr;
}

#else

NeighbourTile pair_tile_of(Index) { return nullptr; }
NeighbourTile byte_tile_of(Index) { return nullptr; }

#endif

}  // namespace chainrule::CHAINRULE_ISA
