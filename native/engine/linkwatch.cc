#include "linkwatch.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace pellicle {
namespace {

constexpr uint32_t kLinks = RTMGRP_LINK;
constexpr uint32_t kRoutes = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;

void closeIfOpen(int fd) {
  if (fd >= 0) close(fd);
}

}  // namespace

LinkWatch::LinkWatch(const Tun& tun) : tun_(tun.fd), index_(tun.index) {
  home_ = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  links_ = netlinkMonitor(kLinks);
  routes_ = netlinkMonitor(kRoutes);
  // A device that was adopted may be elsewhere already.
  if (isElsewhere()) follow();
  else queryLink(index_, state_);
}

LinkWatch::~LinkWatch() {
  for (const int fd : {home_, links_, routes_}) closeIfOpen(fd);
}

LinkWatch::News LinkWatch::read() {
  News news;
  uint8_t buffer[32768];
  // Also when messages were lost (ENOBUFS): then nobody knows which.
  while (recv(routes_, buffer, sizeof buffer, MSG_DONTWAIT) > 0 || errno == ENOBUFS) news.routes = true;
  readLinks(news);
  return news;
}

LinkWatch::News LinkWatch::lookAgain() {
  News news;
  if (links_ >= 0) {
    close(std::exchange(links_, -1));
    return news;
  }
  const LinkState before = state_;
  news.gone = !follow();
  news.link = news.gone || before.up != state_.up || before.mtu != state_.mtu;
  return news;
}

void LinkWatch::readLinks(News& news) {
  alignas(nlmsghdr) uint8_t buffer[32768];
  for (;;) {
    const ssize_t received = recv(links_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (received < 0 && errno == ENOBUFS) {
      news.link = true;
      if (!queryLink(index_, state_) && !follow()) news.gone = true;
      continue;
    }
    if (received <= 0) return;
    auto left = static_cast<size_t>(received);
    const uint8_t* at = buffer;
    while (const nlmsghdr* message = takeMessage(at, left)) {
      if (message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK) continue;
      const auto* info = bodyOf<ifinfomsg>(message);
      if (info == nullptr || info->ifi_index != static_cast<int>(index_) || info->ifi_family != AF_UNSPEC) continue;
      news.link = true;
      if (message->nlmsg_type == RTM_DELLINK) {
        if (!follow()) news.gone = true;
        break;  // what else is in the buffer is about the namespace that it left
      }
      const LinkState next = linkState(message);
      state_.up = next.up;
      if (next.mtu != 0) state_.mtu = next.mtu;
    }
  }
}

bool LinkWatch::isElsewhere() const {
  struct stat here {};
  struct stat there {};
  const int netns = ioctl(tun_, TUNGETDEVNETNS);
  const bool both = netns >= 0 && fstat(home_, &here) == 0 && fstat(netns, &there) == 0;
  closeIfOpen(netns);
  return both && (here.st_ino != there.st_ino || here.st_dev != there.st_dev);
}

bool LinkWatch::follow() {
  ifreq request{};
  if (ioctl(tun_, TUNGETIFF, &request) != 0) return false;
  away_ = isElsewhere();
  closeIfOpen(std::exchange(links_, -1));
  const int there = ioctl(tun_, TUNGETDEVNETNS);
  // Without the right to look, the device is served as it was last seen.
  if (there < 0) return true;
  if (home_ >= 0 && setns(there, CLONE_NEWNET) == 0) {
    links_ = netlinkMonitor(kLinks);
    index_ = if_nametoindex(request.ifr_name);
    queryLink(index_, state_);
    setns(home_, CLONE_NEWNET);
  }
  close(there);
  return true;
}

}  // namespace pellicle
