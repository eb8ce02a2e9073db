#include "links.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

namespace links {
namespace {

constexpr size_t kBuffer = 1 << 16;

std::string_view alias_of(const nlmsghdr* message) {
  const auto* link = static_cast<const ifinfomsg*>(NLMSG_DATA(message));
  size_t left = IFLA_PAYLOAD(message);
  for (const rtattr* each = IFLA_RTA(link); RTA_OK(each, left); each = RTA_NEXT(each, left)) {
    if (each->rta_type != IFLA_IFALIAS) continue;
    const char* text = static_cast<const char*>(RTA_DATA(each));
    return {text, strnlen(text, RTA_PAYLOAD(each))};
  }
  return {};
}

bool ask(int fd) {
  struct {
    nlmsghdr head;
    ifinfomsg link;
  } request{};
  request.head.nlmsg_len = sizeof request;
  request.head.nlmsg_type = RTM_GETLINK;
  request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  return send(fd, &request, sizeof request, 0) == sizeof request;
}

bool search(int fd, const std::function<bool(std::string_view)>& fits) {
  alignas(nlmsghdr) static char buffer[kBuffer];
  for (;;) {
    ssize_t n = recv(fd, buffer, sizeof buffer, MSG_TRUNC);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || static_cast<size_t>(n) > sizeof buffer) return true;
    size_t left = static_cast<size_t>(n);
    for (const auto* each = reinterpret_cast<const nlmsghdr*>(buffer); NLMSG_OK(each, left);
         each = NLMSG_NEXT(each, left)) {
      if (each->nlmsg_flags & NLM_F_DUMP_INTR) return true;
      if (each->nlmsg_type == NLMSG_DONE) return false;
      if (each->nlmsg_type != RTM_NEWLINK || fits(alias_of(each))) return true;
    }
  }
}

}  // namespace

bool any_alias(const std::function<bool(std::string_view)>& fits) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return true;
  bool found = !ask(fd) || search(fd, fits);
  close(fd);
  return found;
}

}  // namespace links
