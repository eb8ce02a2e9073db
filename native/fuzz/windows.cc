// The windows against replays, against a set of all numbers that were taken.
#include <set>

#include "../engine/espwindow.h"
#include "../engine/replay.h"
#include "fuzz.h"

using namespace pellicle;
using namespace pellicle::fuzz;

namespace {

// Near the greatest one so far, at an edge, or anywhere.
uint64_t number(Input& input, uint64_t greatest) {
  const uint8_t kind = input.byte();
  switch (kind & 7) {
    case 0:
      return greatest + input.byte();
    case 1:
      return greatest - input.byte();
    case 2:
      return greatest - input.take<uint16_t>();
    case 3:
      return greatest + input.take<uint16_t>();
    case 4:
      return UINT64_MAX - input.byte();
    case 5:
      return (greatest | 0xffffffff) + (kind >> 3) - 15;
    case 6:
      return input.take<uint32_t>();
    default:
      return input.take<uint64_t>();
  }
}

void wireGuard(Input& input) {
  ReplayWindow window;
  std::set<uint64_t> taken;
  while (!input.empty()) {
    const uint64_t greatest = taken.empty() ? 0 : *taken.rbegin();
    const uint64_t counter = number(input, greatest);
    const bool old = !taken.empty() && counter <= greatest && greatest - counter > ReplayWindow::kWindow;
    REQUIRE(window.accept(counter) == (!old && !taken.contains(counter)));
    if (!old) taken.insert(counter);
  }
}

// The least number from the bottom of the window on that has these low bits.
bool recovered(uint64_t top, uint32_t size, uint32_t low, uint64_t& sequence) {
  __int128 number = static_cast<__int128>(top) - size + 1;
  number += static_cast<uint32_t>(low - static_cast<uint32_t>(number));
  sequence = static_cast<uint64_t>(number);
  return number >= 0 && number <= UINT64_MAX;
}

void esp(Input& input) {
  const auto size = static_cast<uint32_t>(input.upTo(SequenceWindow::kMost - 1) + 1);
  const uint64_t start = (input.byte() & 1) != 0 ? number(input, 0) : 0;
  SequenceWindow window(size, start);
  std::set<uint64_t> taken;
  uint64_t greatest = start;
  while (!input.empty()) {
    const uint64_t sequence = number(input, greatest);
    uint64_t full = 0;
    uint64_t expected = 0;
    const bool found = window.recover(static_cast<uint32_t>(sequence), full);
    REQUIRE(found == recovered(greatest, size, static_cast<uint32_t>(sequence), expected));
    if (found) REQUIRE(full == expected);
    const bool old = sequence <= greatest && greatest - sequence >= size;
    const bool first = sequence > start && !old && !taken.contains(sequence);
    REQUIRE(window.isNew(sequence) == first);
    REQUIRE(window.accept(sequence) == first);
    if (first) taken.insert(sequence);
    if (first) greatest = std::max(greatest, sequence);
    REQUIRE(window.top() == greatest);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  Input input(bytes, length);
  if ((input.byte() & 1) != 0) esp(input);
  else wireGuard(input);
  return 0;
}
