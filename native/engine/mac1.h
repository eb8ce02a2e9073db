// mac1 of handshake messages (WireGuard paper, section 5.4.4): whoever sent it knows our public key. Garbage is turned away by
// it before it costs JavaScript's thread anything, or another's message its place in the queue.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace pellicle {

constexpr size_t kMacSize = 16;
constexpr size_t kMac1KeySize = 32;

// Says what is wrong with the OpenSSL of this process, or null. Call before anything else here.
const char* mac1Problem();

class Mac1 {
 public:
  using Key = std::array<uint8_t, kMac1KeySize>;

  // HASH("mac1----" || our public key). Without one every message holds: there is nothing to compare it with.
  void setKey(const std::optional<Key>& key) { key_ = key; }

  // Of an initiation or a response: mac1 is before the last 16 bytes, and covers what is before it.
  bool holds(const uint8_t* message, size_t length) const;

 private:
  std::optional<Key> key_;
};

}  // namespace pellicle
