// The sockets of one ESP device: raw ones, and UDP ones for each port of ours (RFC 3948).
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include "udp.h"

namespace pellicle {

// What the SAs need.
struct EspSocketNeeds {
  bool raw4 = false;
  bool raw6 = false;
  std::set<uint16_t> ports;
  bool operator==(const EspSocketNeeds&) const = default;
};

struct EspSockets {
  EspSocketNeeds needs;
  int raw4 = -1;
  int raw6 = -1;
  std::vector<std::shared_ptr<UdpSockets>> udp;

  EspSockets() = default;
  ~EspSockets();
  EspSockets(const EspSockets&) = delete;
  EspSockets& operator=(const EspSockets&) = delete;

  // -1 when there is none.
  int udpOf(uint16_t port, bool v6) const;
};

// Those of `before` that are needed stay the same. Null with an errno and a word for which one.
std::shared_ptr<EspSockets> openEspSockets(const EspSocketNeeds& needs, uint32_t mark, const EspSockets* before, int& error,
                                           std::string& which);

}  // namespace pellicle
