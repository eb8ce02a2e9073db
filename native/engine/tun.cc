#include "tun.h"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "netlink.h"
#include "offload.h"

namespace pellicle {
namespace {

// Missing from older headers (linux/if_tun.h of 6.2).
constexpr unsigned kUso4 = 0x20;
constexpr unsigned kUso6 = 0x40;

// The best that the kernel takes; older ones know no USO.
constexpr unsigned kTso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
constexpr unsigned kOffloads[] = {kTso | kUso4 | kUso6, kTso, TUN_F_CSUM, 0};

constexpr uint32_t kQueueLength = 5000;
constexpr uint8_t kNoGeneratedAddress = 1;  // IN6_ADDR_GEN_MODE_NONE

std::string describeOpen(int code) {
  switch (code) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return "There is no /dev/net/tun: load the kernel module tun, or give the container the device.";
    case EACCES:
    case EPERM:
      return "/dev/net/tun may not be opened: run as root, or allow the container that device.";
    default:
      return std::string("/dev/net/tun: ") + strerror(code) + ".";
  }
}

std::string describeAttach(const std::string& name, int code) {
  switch (code) {
    case EPERM:
      return "No right to make the TUN device " + name + ": the engine needs CAP_NET_ADMIN.";
    case ENOTTY:
      return "/dev/net/tun is not the TUN device: load the kernel module tun, or give the container the device.";
    case EBUSY:
      return "The TUN device " + name + " is in use by another process: stop that one, or take another name.";
    case EINVAL:
      return "The interface " + name + " exists and is not a single-queue TUN device: delete it, or take another name.";
    default:
      return "Cannot make the TUN device " + name + ": " + strerror(code) + ".";
  }
}

void configure(const Tun& tun, uint32_t mtu) {
  NetlinkMessage request(RTM_NEWLINK, NLM_F_ACK);
  auto* link = request.body<ifinfomsg>();
  link->ifi_index = static_cast<int>(tun.index);
  link->ifi_change = IFF_MULTICAST;
  request.attribute(IFLA_MTU, &mtu, sizeof mtu);
  netlinkRequest(request);

  NetlinkMessage quiet(RTM_NEWLINK, NLM_F_ACK);
  quiet.body<ifinfomsg>()->ifi_index = static_cast<int>(tun.index);
  const uint32_t families = quiet.begin(IFLA_AF_SPEC);
  const uint32_t v6 = quiet.begin(AF_INET6);
  quiet.attribute(IFLA_INET6_ADDR_GEN_MODE, &kNoGeneratedAddress, sizeof kNoGeneratedAddress);
  quiet.end(v6);
  quiet.end(families);
  netlinkRequest(quiet);
}

void raiseQueue(const Tun& tun) {
  NetlinkMessage request(RTM_NEWLINK, NLM_F_ACK);
  request.body<ifinfomsg>()->ifi_index = static_cast<int>(tun.index);
  request.attribute(IFLA_TXQLEN, &kQueueLength, sizeof kQueueLength);
  netlinkRequest(request);
}

}  // namespace

bool openTun(const std::string& name, bool persist, uint32_t mtu, Tun& tun, TunProblem& problem) {
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    problem = {errno, describeOpen(errno)};
    return false;
  }
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  const bool existed = if_nametoindex(name.c_str()) != 0;
  if (ioctl(fd, TUNSETIFF, &request) < 0) {
    problem = {errno, describeAttach(name, errno)};
    close(fd);
    return false;
  }
  tun.fd = fd;
  tun.name = request.ifr_name;
  tun.index = if_nametoindex(request.ifr_name);
  tun.created = !existed;
  const int headerSize = sizeof(Offload);
  ioctl(fd, TUNSETVNETHDRSZ, &headerSize);
  for (const unsigned offloads : kOffloads) {
    tun.offloads = offloads;
    if (ioctl(fd, TUNSETOFFLOAD, offloads) == 0) break;
  }
  if (persist) ioctl(fd, TUNSETPERSIST, 1);
  if (tun.created) configure(tun, mtu);
  raiseQueue(tun);
  return true;
}

}  // namespace pellicle
