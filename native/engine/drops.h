// Why the packet loop let a packet go. The type Drop in src/engine/native.ts has the same names.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pellicle {

enum class Drop : size_t {
  // from the TUN
  kNotIp,
  kNoPeer,
  kNoEndpoint,
  kBadOffload,
  kOwnDatagram,
  kStagingFull,
  kStagingCleared,
  kSendFailed,
  kNoSocket,
  // from the network
  kMalformed,
  kUnknownIndex,
  kExpired,
  kBadTag,
  kReplayed,
  kBadInnerPacket,
  kBadSource,
  kBadMac1,
  kHandshakeQueueFull,
  kTunWriteFailed,
  kCount,
};

constexpr const char* kDropNames[] = {
    "notIp",     "noPeer",       "noEndpoint", "badOffload", "ownDatagram", "stagingFull",
    "stagingCleared", "sendFailed", "noSocket", "malformed", "unknownIndex", "expired", "badTag",
    "replayed", "badInnerPacket", "badSource", "badMac1", "handshakeQueueFull", "tunWriteFailed",
};
static_assert(sizeof(kDropNames) / sizeof(kDropNames[0]) == static_cast<size_t>(Drop::kCount));

// How often for each reason; Reason ends with kCount.
template <class Reason>
class DropCounts {
 public:
  void count(Reason reason, uint64_t packets = 1) {
    counts_[static_cast<size_t>(reason)].fetch_add(packets, std::memory_order_relaxed);
  }
  uint64_t of(size_t reason) const { return counts_[reason].load(std::memory_order_relaxed); }
  void each(auto&& visit) {
    for (auto& count : counts_) visit(count);
  }

 private:
  std::array<std::atomic<uint64_t>, static_cast<size_t>(Reason::kCount)> counts_{};
};

using Drops = DropCounts<Drop>;

}  // namespace pellicle
