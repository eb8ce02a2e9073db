// Milliseconds that never go back and go on while the machine sleeps. Starts above 0, which means "never".
#pragma once

#include <ctime>

#include <cstdint>

namespace pellicle {

class Clock {
 public:
  // A test lets time fly: `speed` times as fast as real.
  explicit Clock(double speed) : speed_(speed) {}

  int64_t now() const {
    timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    const auto milliseconds = static_cast<int64_t>(time.tv_sec) * 1000 + time.tv_nsec / 1'000'000 + 1;
    return speed_ == 1 ? milliseconds : static_cast<int64_t>(static_cast<double>(milliseconds) * speed_);
  }

 private:
  double speed_;
};

}  // namespace pellicle
