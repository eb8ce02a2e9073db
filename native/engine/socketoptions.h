// What all sockets of the engine have: room for bursts, an end to waiting, and the mark.
#pragma once

#include <sys/socket.h>
#include <sys/time.h>

#include <cstdint>

namespace pellicle {

inline void setOption(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); }

// False with an errno, when the mark may not be set.
inline bool setSocketOptions(int fd, uint32_t mark) {
  static constexpr int kBufferBytes = 8 << 20;
  static constexpr timeval kSendPatience{0, 100'000};
  // Beyond the sysctl limit with CAP_NET_ADMIN, up to it without.
  const auto setBuffer = [fd](int forced, int plain) {
    if (setsockopt(fd, SOL_SOCKET, forced, &kBufferBytes, sizeof kBufferBytes) != 0) {
      setOption(fd, SOL_SOCKET, plain, kBufferBytes);
    }
  };
  setBuffer(SO_RCVBUFFORCE, SO_RCVBUF);
  setBuffer(SO_SNDBUFFORCE, SO_SNDBUF);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kSendPatience, sizeof kSendPatience);
  return mark == 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0;
}

}  // namespace pellicle
