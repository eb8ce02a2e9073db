// The UDP sockets of one listen port, IPv4 and IPv6, and what goes through them: trains of equal datagrams with
// UDP_SEGMENT on the way out, with UDP_GRO on the way in (udp(7)).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "aead.h"
#include "endpoint.h"

namespace pellicle {

struct UdpSockets {
  int v4 = -1;
  int v6 = -1;  // -1 where the machine has no IPv6
  uint16_t port = 0;

  UdpSockets() = default;
  ~UdpSockets();
  UdpSockets(const UdpSockets&) = delete;
  UdpSockets& operator=(const UdpSockets&) = delete;

  int of(const Endpoint& endpoint) const { return endpoint.isV6() ? v6 : v4; }
  void setMark(uint32_t mark);
};

// Port 0 is a random one, the same for both families. Null with an errno.
std::shared_ptr<UdpSockets> openUdp(uint16_t port, uint32_t mark, int& error);

constexpr size_t kMaxTrain = 65'507;
constexpr size_t kMaxTrainSegments = 64;

// Datagrams of `segment` bytes side by side, the last one maybe shorter. Returns 0 or an errno. `sourceFailed` tells
// that the endpoint's source address is no longer ours (it was sent without).
int sendTrain(int fd, const Endpoint& to, const uint8_t* bytes, size_t length, size_t segment, int flags,
              bool& sourceFailed);

// A buffer to receive into, with what came in.
struct Arrival {
  static constexpr size_t kRoom = 65'536;
  std::unique_ptr<uint8_t[]> buffer{new uint8_t[Aead::kFront + kRoom + Aead::kBack]()};
  uint8_t* bytes() { return buffer.get() + Aead::kFront; }
  size_t length = 0;
  size_t segment = 0;  // equal datagrams of this size side by side, the last one maybe shorter
  Endpoint from;
};

// False when nothing waits.
bool receiveTrain(int fd, Arrival& arrival);

}  // namespace pellicle
