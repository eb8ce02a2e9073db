// The TUN device (linux/if_tun.h): opened with offload headers, so that one read or write carries up to 64 KB.
#pragma once

#include <cstdint>
#include <string>

namespace pellicle {

struct Tun {
  int fd = -1;
  unsigned index = 0;  // of the interface
  std::string name;
  bool created = false;   // it was not there before
  unsigned offloads = 0;  // TUN_F_…
};

// What went wrong, as the person has to read it. `code` is an errno.
struct TunProblem {
  int code = 0;
  std::string message;
};

// Makes the device, or takes over a persistent one of that name, which stays as it is configured. A new one gets the MTU
// and is quiet by itself: no multicast, no link-local IPv6 address. `name` is 1 to 15 bytes.
bool openTun(const std::string& name, bool persist, uint32_t mtu, Tun& tun, TunProblem& problem);

}  // namespace pellicle
