// What the packet loops know, as bytes, and out of them again: for an engine that takes over from a running one. Both loops
// have to be stopped. src/engine/handover.ts tells how engines follow each other; the layout here is part of its format.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "esploop.h"
#include "loop.h"

namespace pellicle {

// Has keys: wiped with the object.
class SecretBytes {
 public:
  explicit SecretBytes(size_t size) : bytes_(size) {}
  ~SecretBytes() { explicit_bzero(bytes_.data(), bytes_.size()); }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;

  uint8_t* data() { return bytes_.data(); }
  size_t size() const { return bytes_.size(); }

 private:
  std::vector<uint8_t> bytes_;
};

// Descriptors belong to whoever asks for them no more than before. -1 is none.
class LoopHandover {
 public:
  static std::unique_ptr<SecretBytes> save(Loop& loop);
  // IPv4, IPv6.
  static std::vector<int> sockets(const Loop& loop);
  // Into a loop that has nothing yet. The descriptors are the loop's from now on, also when it returns false: then the bytes
  // are not whole, and the loop is good for nothing.
  static bool load(Loop& loop, const uint8_t* bytes, size_t size, const std::vector<int>& sockets);
};

class EspLoopHandover {
 public:
  static std::unique_ptr<SecretBytes> save(EspLoop& loop);
  // Raw IPv4, raw IPv6, then IPv4 and IPv6 for each port.
  static std::vector<int> sockets(const EspLoop& loop);
  // First the sockets, then `apply` with all the states, then what these have counted.
  static bool loadSockets(EspLoop& loop, const uint8_t* bytes, size_t size, const std::vector<int>& sockets);
  static bool loadCounters(EspLoop& loop, const uint8_t* bytes, size_t size);
};

// A TUN device that was opened before, as `openTun` made it. False when the descriptor is not that device's.
bool adoptTun(int fd, const std::string& name, Tun& tun);

}  // namespace pellicle
