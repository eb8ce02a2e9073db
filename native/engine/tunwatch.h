// Which thread waits for packets from the TUN.
//
// While much goes through, the sending thread does, so that both directions have a processor each. In a quiet tunnel a
// receiving thread does: what the kernel answers a packet with lies in the TUN as soon as that is written, and a thread that
// is awake has it sent before another one, maybe on a processor that sleeps, could be woken for it.
#pragma once

#include <atomic>
#include <cstdint>

#include "signal.h"

namespace pellicle {

class TunWatch {
 public:
  // More in one turn is a lot.
  static constexpr int kFew = 4;

  // By which receiving thread, or by the sending one.
  static constexpr int kSender = -1;
  int by() const { return by_.load(std::memory_order_acquire); }

  // `signal` wakes the thread that does from now on.
  void give(int to, Signal& signal) {
    by_.store(to, std::memory_order_release);
    signal.raise();
  }

  // The receiving thread that brought something in last.
  void delivered(int by) { deliverer_.store(by, std::memory_order_relaxed); }
  int deliverer() const { return deliverer_.load(std::memory_order_relaxed); }

  // A thread had a lot to do, in either direction.
  void busy(int64_t now) { busyAt_.store(now, std::memory_order_relaxed); }
  bool quiet(int64_t now) const { return now - busyAt_.load(std::memory_order_relaxed) > kQuietMs; }

 private:
  static constexpr int64_t kQuietMs = 20;

  std::atomic<int> by_{kSender};
  std::atomic<int> deliverer_{0};
  std::atomic<int64_t> busyAt_{0};
};

}  // namespace pellicle
