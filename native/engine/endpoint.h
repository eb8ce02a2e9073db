// Where a peer is on the outside, and from which of our addresses it is answered.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace pellicle {

struct Endpoint {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  // Our address that the peer wrote to, and the interface it came in by. All zero: the kernel chooses.
  in6_addr source;  // IPv4 has the first four bytes
  uint32_t sourceInterface;

  Endpoint() { std::memset(static_cast<void*>(this), 0, sizeof *this); }

  bool known() const { return any.sa_family != AF_UNSPEC; }
  bool isV6() const { return any.sa_family == AF_INET6; }
  socklen_t size() const { return isV6() ? sizeof v6 : sizeof v4; }
  bool hasSource() const { return std::memcmp(&source, &in6addr_any, sizeof source) != 0; }
  void clearSource() {
    source = in6addr_any;
    sourceInterface = 0;
  }

  bool samePeer(const Endpoint& other) const {
    if (any.sa_family != other.any.sa_family) return false;
    if (!isV6()) return v4.sin_port == other.v4.sin_port && v4.sin_addr.s_addr == other.v4.sin_addr.s_addr;
    return v6.sin6_port == other.v6.sin6_port && v6.sin6_scope_id == other.v6.sin6_scope_id &&
           std::memcmp(&v6.sin6_addr, &other.v6.sin6_addr, sizeof v6.sin6_addr) == 0;
  }
  bool operator==(const Endpoint& other) const {
    return samePeer(other) && sourceInterface == other.sourceInterface &&
           std::memcmp(&source, &other.source, sizeof source) == 0;
  }

  // Address text without brackets, with `%scope` for a link-local one; false for text that is no address.
  bool parse(const std::string& address, uint16_t port);
  bool parseSource(const std::string& address, uint32_t interface);
  std::string address() const;
  std::string sourceAddress() const;
  uint16_t port() const { return ntohs(isV6() ? v6.sin6_port : v4.sin_port); }
};

}  // namespace pellicle
