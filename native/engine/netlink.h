// The little of rtnetlink that the packet loop needs: configure the new device, hear of link changes, ask for a route.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>

#include "endpoint.h"

namespace pellicle {

// A request under construction.
class NetlinkMessage {
 public:
  NetlinkMessage(uint16_t type, uint16_t flags) {
    header()->nlmsg_type = type;
    header()->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    header()->nlmsg_len = NLMSG_HDRLEN;
  }
  template <class T>
  T* body() {
    auto* at = reinterpret_cast<T*>(bytes_ + header()->nlmsg_len);
    header()->nlmsg_len += NLMSG_ALIGN(sizeof(T));
    return at;
  }
  void attribute(uint16_t type, const void* value, size_t length) {
    auto* at = reinterpret_cast<nlattr*>(bytes_ + header()->nlmsg_len);
    at->nla_type = type;
    at->nla_len = static_cast<uint16_t>(NLA_HDRLEN + length);
    std::memcpy(bytes_ + header()->nlmsg_len + NLA_HDRLEN, value, length);
    header()->nlmsg_len += NLA_ALIGN(at->nla_len);
  }
  uint32_t begin(uint16_t type) {
    const uint32_t at = header()->nlmsg_len;
    attribute(type, nullptr, 0);
    return at;
  }
  void end(uint32_t at) {
    reinterpret_cast<nlattr*>(bytes_ + at)->nla_len = static_cast<uint16_t>(header()->nlmsg_len - at);
  }
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes_); }

 private:
  alignas(nlmsghdr) uint8_t bytes_[512] = {};
};

// Sends it and waits for the answer. 0, or an errno. `visit` sees the answers that are not acknowledgements.
int netlinkRequest(NetlinkMessage& message, const std::function<void(const nlmsghdr*)>& visit = {});

// A non-blocking socket subscribed to groups of news (RTMGRP_…); -1 when there is none to have.
int netlinkMonitor(uint32_t groups);

// The next whole message of `left` bytes that were received, or null.
inline const nlmsghdr* takeMessage(const uint8_t*& at, size_t& left) {
  const auto* message = reinterpret_cast<const nlmsghdr*>(at);
  if (left < sizeof *message || message->nlmsg_len < sizeof *message || message->nlmsg_len > left) return nullptr;
  // The padding behind the last one may be missing.
  const auto taken = std::min<size_t>(NLMSG_ALIGN(message->nlmsg_len), left);
  at += taken;
  left -= taken;
  return message;
}

// The fixed body of a message, or null when it is shorter than that.
template <class T>
const T* bodyOf(const nlmsghdr* message) {
  return message->nlmsg_len >= NLMSG_LENGTH(sizeof(T)) ? static_cast<const T*>(NLMSG_DATA(message)) : nullptr;
}

struct LinkState {
  bool up = false;
  uint32_t mtu = 0;
};

LinkState linkState(const nlmsghdr* message);
// False when there is no such link.
bool queryLink(unsigned index, LinkState& state);

// The interface that a packet from the endpoint's source to it would leave by; 0 when there is no route.
uint32_t routeInterface(const Endpoint& endpoint, uint32_t mark);

}  // namespace pellicle
