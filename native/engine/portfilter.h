// Has the kernel drop what cannot be WireGuard's before it is queued: a flood of garbage then costs this process next to
// nothing, and leaves the socket's buffer to real datagrams. Where the kernel or our rights do not allow it (it takes
// CAP_BPF, and Linux 5.7), all of it comes here and is dropped here.
#pragma once

#include <cstdint>

namespace pellicle {

class PortFilter {
 public:
  PortFilter();
  ~PortFilter();
  PortFilter(const PortFilter&) = delete;
  PortFilter& operator=(const PortFilter&) = delete;

  // To a UDP socket, in the place of what another process attached to it.
  void attach(int socket) const;

  // Datagrams that were dropped since the last call. For one thread.
  uint64_t takeDropped();

 private:
  int count_ = -1;    // array map with one entry
  int program_ = -1;
  uint64_t taken_ = 0;
};

}  // namespace pellicle
