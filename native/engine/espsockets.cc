#include "espsockets.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "espraw.h"

namespace pellicle {
namespace {

// One descriptor more for the same socket, or a new one.
int rawSocket(bool needed, int before, int family, uint32_t mark, int& error) {
  if (!needed) return -1;
  if (before < 0) return openRawEsp(family, mark, error);
  const int fd = fcntl(before, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) error = errno;
  return fd;
}

}  // namespace

EspSockets::~EspSockets() {
  if (raw4 >= 0) close(raw4);
  if (raw6 >= 0) close(raw6);
}

int EspSockets::udpOf(uint16_t port, bool v6) const {
  for (const auto& sockets : udp) {
    if (sockets->port == port) return v6 ? sockets->v6 : sockets->v4;
  }
  return -1;
}

std::shared_ptr<EspSockets> openEspSockets(const EspSocketNeeds& needs, uint32_t mark, const EspSockets* before, int& error,
                                           std::string& which) {
  auto opened = std::make_shared<EspSockets>();
  opened->needs = needs;
  which = "a raw socket for ESP";
  opened->raw4 = rawSocket(needs.raw4, before ? before->raw4 : -1, AF_INET, mark, error);
  if (needs.raw4 && opened->raw4 < 0) return nullptr;
  opened->raw6 = rawSocket(needs.raw6, before ? before->raw6 : -1, AF_INET6, mark, error);
  if (needs.raw6 && opened->raw6 < 0) return nullptr;
  for (const uint16_t port : needs.ports) {
    which = "UDP port " + std::to_string(port);
    std::shared_ptr<UdpSockets> sockets;
    for (const auto& old : before ? before->udp : std::vector<std::shared_ptr<UdpSockets>>{}) {
      if (old->port == port) sockets = old;
    }
    if (!sockets) sockets = openUdp(port, mark, error);
    if (!sockets) return nullptr;
    opened->udp.push_back(std::move(sockets));
  }
  return opened;
}

}  // namespace pellicle
