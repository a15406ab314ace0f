// Contract: reference/dropout.py. Philox4x32-10 (Salmon et al. 2011), 16 counters at a time.
#include "dropout.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

using Word = std::uint32_t;

constexpr int blocks = 16;
constexpr Index tile = 4 * blocks;  // words of 16 blocks

// Words in lanes of 64 bits, where the products of two of them fit.
typedef std::uint64_t WideVector __attribute__((vector_size(CHAINRULE_VECTOR_BYTES)));
typedef Word WordVector __attribute__((vector_size(CHAINRULE_VECTOR_BYTES / 2)));
constexpr int wide_lanes = CHAINRULE_VECTOR_BYTES / 8;

// The words of blocks first, first + 1, ..., first + 15: all their first words, then their
// second, third and fourth.
void philox(std::uint64_t first, std::uint64_t key, Word* words) {
  const std::uint64_t low = 0xFFFFFFFF;
  for (int part = 0; part < blocks; part += wide_lanes) {
    WideVector block;
    for (int i = 0; i < wide_lanes; ++i) block[i] = first + static_cast<std::uint64_t>(part + i);
    WideVector a = block & low, b = block >> 32, c = {}, d = {};
    Word k0 = static_cast<Word>(key), k1 = static_cast<Word>(key >> 32);
    for (int turn = 0; turn < 10; ++turn) {
      const WideVector from_a = a * 0xD2511F53, from_c = c * 0xCD9E8D57;
      a = (from_c >> 32) ^ b ^ std::uint64_t{k0};
      b = from_c & low;
      c = (from_a >> 32) ^ d ^ std::uint64_t{k1};
      d = from_a & low;
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    const WideVector results[4] = {a, b, c, d};
    for (int word = 0; word < 4; ++word) {
      const WordVector narrow = __builtin_convertvector(results[word], WordVector);
      std::memcpy(words + word * blocks + part, &narrow, sizeof narrow);
    }
  }
}

}  // namespace

void dropout(const float* x, float* y, Index n, Word threshold, float scale, std::uint64_t key,
             int threads) {
  // A task begins with a whole tile.
  parallel_ranges(threads, n, pass_grain / 4 / tile * tile, [=](Index first, Index last) {
    for (Index start = first; start < last; start += tile) {
      Word word[tile];
      philox(static_cast<std::uint64_t>(start / 4), key, word);
      const Index count = smaller(tile, last - start);
      for (Index i = 0; i < count; ++i) {
        const float scaled = x[start + i] * scale;
        y[start + i] = word[i] >= threshold ? scaled : 0.0f;
      }
    }
  });
}

}  // namespace chainrule::CHAINRULE_ISA
