// What a receiver remembers of sequence numbers: the window against replays (RFC 4303, section 3.4.3, kept as the ring of
// words of RFC 6479) and the recovery of the half that is not sent (appendix A2).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace pellicle {

class SequenceWindow {
 public:
  static constexpr uint32_t kMost = 4096;

  // `size` in packets, up to kMost. `top` is the highest number authenticated so far, 0 for none: a window that goes on
  // where another ended takes none of the numbers up to there.
  explicit SequenceWindow(uint32_t size, uint64_t top = 0) : size_(size), top_(top) {
    if (top == 0) return;
    ring_.fill(~0ull);
    const uint64_t used = top % 64 + 1;
    if (used < 64) ring_[word(top)] = (1ull << used) - 1;
  }

  uint32_t size() const { return size_; }
  uint64_t top() const { return top_; }

  bool isNew(uint64_t sequence) const {
    if (sequence == 0) return false;
    if (sequence > top_) return true;
    return top_ - sequence < size_ && (ring_[word(sequence)] & bit(sequence)) == 0;
  }

  // True the first time a number comes, if it is not too old. Only for packets whose tag was right.
  bool accept(uint64_t sequence) {
    if (!isNew(sequence)) return false;
    if (sequence > top_) advance(sequence);
    ring_[word(sequence)] |= bit(sequence);
    return true;
  }

  // All 64 bits of a number of which 32 were sent: of the candidates the one that lies in the window or nearest above it
  // (RFC 4303, appendix A2.2). False when there is none from 0 to 2^64 - 1.
  bool recover(uint32_t low, uint64_t& sequence) const {
    const auto topLow = static_cast<uint32_t>(top_);
    const uint64_t topHigh = top_ >> 32;
    const uint32_t bottom = topLow - size_ + 1;  // modulo 2^32
    uint64_t high = topHigh;
    if (topLow >= size_ - 1) {
      if (low < bottom) high++;
    } else if (low >= bottom) {
      if (high == 0) return false;
      high--;
    }
    if (high > UINT32_MAX) return false;
    sequence = high << 32 | low;
    return true;
  }

  // All that it remembers, for an engine that takes over with a window of the same size.
  void each(auto&& visit) {
    visit(top_);
    for (uint64_t& word : ring_) visit(word);
  }

 private:
  static constexpr uint64_t kWords = kMost / 64 + 1;

  static uint64_t word(uint64_t sequence) { return sequence / 64 % kWords; }
  static uint64_t bit(uint64_t sequence) { return 1ull << sequence % 64; }

  void advance(uint64_t sequence) {
    const uint64_t from = top_ / 64;
    const uint64_t steps = std::min(sequence / 64 - from, kWords);
    for (uint64_t i = 0; i < steps; i++) ring_[(sequence / 64 - i) % kWords] = 0;
    top_ = sequence;
  }

  std::array<uint64_t, kWords> ring_{};
  uint32_t size_;
  uint64_t top_;
};

}  // namespace pellicle
