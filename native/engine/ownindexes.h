// Sender indexes of our latest handshake messages. A cookie reply names the one that it answers, and has no mac1 of its own:
// this turns away what answers nothing. Whose index was overwritten by another's asks again when its handshake is retried.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pellicle {

class OwnIndexes {
 public:
  void note(uint32_t index) { slots_[index % kSlots].store(index, std::memory_order_relaxed); }
  bool has(uint32_t index) const { return slots_[index % kSlots].load(std::memory_order_relaxed) == index; }

 private:
  // Indexes are random: of the handshakes of 1,000 peers at once 3 % overwrite another's.
  static constexpr size_t kSlots = 16'384;

  std::array<std::atomic<uint32_t>, kSlots> slots_{};
};

}  // namespace pellicle
