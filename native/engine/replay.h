// Sliding window against replays (RFC 6479): counters up to 8128 behind the greatest one are told apart.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace pellicle {

class ReplayWindow {
 public:
  static constexpr uint64_t kBits = 8192;
  static constexpr uint64_t kWindow = kBits - 64;

  // True the first time a counter comes. Only for authenticated packets.
  bool accept(uint64_t counter) {
    const uint64_t word = counter / 64;
    if (fresh_ || counter > greatest_) {
      const uint64_t last = fresh_ ? word : greatest_ / 64;
      const uint64_t stale = std::min<uint64_t>(word - last, kWords);
      for (uint64_t i = 1; i <= stale; i++) bits_[(last + i) % kWords] = 0;
      greatest_ = counter;
      fresh_ = false;
    } else if (greatest_ - counter > kWindow) {
      return false;
    }
    const uint64_t bit = 1ull << (counter % 64);
    uint64_t& seen = bits_[word % kWords];
    const bool first = (seen & bit) == 0;
    seen |= bit;
    return first;
  }

  // All that it remembers, for an engine that takes over.
  void each(auto&& visit) {
    visit(greatest_);
    visit(fresh_);
    for (uint64_t& word : bits_) visit(word);
  }

 private:
  static constexpr uint64_t kWords = kBits / 64;
  std::array<uint64_t, kWords> bits_{};
  uint64_t greatest_ = 0;
  bool fresh_ = true;
};

}  // namespace pellicle
