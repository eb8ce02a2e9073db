#include "netlink.h"

#include <net/if.h>
#include <unistd.h>

#include <cerrno>

namespace pellicle {
namespace {

constexpr int kMostErrno = 4095;  // MAX_ERRNO of linux/err.h

int openSocket(int flags, uint32_t groups) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);
  if (fd < 0) return -1;
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

// The attribute of that type behind a fixed body of `body` bytes, or null.
const void* attributeOf(const nlmsghdr* message, size_t body, uint16_t type, size_t size) {
  const auto* at = static_cast<const uint8_t*>(NLMSG_DATA(message)) + NLMSG_ALIGN(body);
  const auto* end = reinterpret_cast<const uint8_t*>(message) + message->nlmsg_len;
  while (end - at >= NLA_HDRLEN) {
    const auto* attribute = reinterpret_cast<const nlattr*>(at);
    if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > end - at) break;
    if ((attribute->nla_type & NLA_TYPE_MASK) == type && attribute->nla_len >= NLA_HDRLEN + size) return at + NLA_HDRLEN;
    at += NLA_ALIGN(attribute->nla_len);
  }
  return nullptr;
}

}  // namespace

int netlinkRequest(NetlinkMessage& message, const std::function<void(const nlmsghdr*)>& visit) {
  const int fd = openSocket(0, 0);
  if (fd < 0) return errno;
  int result = EIO;
  alignas(nlmsghdr) uint8_t buffer[16384];
  if (send(fd, message.header(), message.header()->nlmsg_len, 0) < 0) {
    result = errno;
  } else {
    const ssize_t received = recv(fd, buffer, sizeof buffer, 0);
    auto left = static_cast<size_t>(received > 0 ? received : 0);
    if (received < 0) result = errno;
    const uint8_t* at = buffer;
    while (const nlmsghdr* answer = takeMessage(at, left)) {
      if (answer->nlmsg_type == NLMSG_ERROR) {
        const auto* failure = bodyOf<nlmsgerr>(answer);
        const bool isErrno = failure != nullptr && failure->error <= 0 && failure->error >= -kMostErrno;
        result = isErrno ? -failure->error : EBADMSG;
      } else {
        result = 0;
        if (visit) visit(answer);
      }
    }
  }
  close(fd);
  return result;
}

int netlinkMonitor(uint32_t groups) { return openSocket(SOCK_NONBLOCK, groups); }

LinkState linkState(const nlmsghdr* message) {
  LinkState state;
  const auto* info = bodyOf<ifinfomsg>(message);
  state.up = info != nullptr && (info->ifi_flags & IFF_UP) != 0;
  const void* mtu = attributeOf(message, sizeof(ifinfomsg), IFLA_MTU, sizeof state.mtu);
  if (mtu != nullptr) std::memcpy(&state.mtu, mtu, sizeof state.mtu);
  return state;
}

bool queryLink(unsigned index, LinkState& state) {
  NetlinkMessage request(RTM_GETLINK, 0);
  request.body<ifinfomsg>()->ifi_index = static_cast<int>(index);
  bool found = false;
  const int error = netlinkRequest(request, [&](const nlmsghdr* answer) {
    if (answer->nlmsg_type != RTM_NEWLINK) return;
    state = linkState(answer);
    found = true;
  });
  return error == 0 && found;
}

uint32_t routeInterface(const Endpoint& endpoint, uint32_t mark) {
  NetlinkMessage request(RTM_GETROUTE, 0);
  auto* route = request.body<rtmsg>();
  const size_t size = endpoint.isV6() ? 16 : 4;
  const void* address = endpoint.isV6() ? static_cast<const void*>(&endpoint.v6.sin6_addr) : &endpoint.v4.sin_addr;
  route->rtm_family = static_cast<uint8_t>(endpoint.any.sa_family);
  route->rtm_dst_len = static_cast<uint8_t>(size * 8);
  request.attribute(RTA_DST, address, size);
  if (endpoint.hasSource()) {
    route->rtm_src_len = static_cast<uint8_t>(size * 8);
    request.attribute(RTA_SRC, &endpoint.source, size);
  }
  if (mark != 0) request.attribute(RTA_MARK, &mark, sizeof mark);
  uint32_t index = 0;
  netlinkRequest(request, [&](const nlmsghdr* answer) {
    const void* out = attributeOf(answer, sizeof(rtmsg), RTA_OIF, sizeof index);
    if (answer->nlmsg_type == RTM_NEWROUTE && out != nullptr) std::memcpy(&index, out, sizeof index);
  });
  return index;
}

}  // namespace pellicle
