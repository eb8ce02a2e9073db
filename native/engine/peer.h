// What the packet loop knows of a peer: where it is, the three keypairs, what waits to be sent, and what moves a timer.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "aead.h"
#include "allowedips.h"
#include "endpoint.h"
#include "limits.h"
#include "replay.h"
#include "segment.h"

namespace pellicle {

struct Peer;

// The bytes of a key, which OpenSSL does not give back: for an engine that takes over. Wiped with the object.
struct KeyBytes {
  explicit KeyBytes(const uint8_t* key) { std::memcpy(bytes, key, kKeySize); }
  ~KeyBytes() { explicit_bzero(bytes, kKeySize); }
  KeyBytes(const KeyBytes&) = delete;
  KeyBytes& operator=(const KeyBytes&) = delete;

  uint8_t bytes[kKeySize];
};

// Lives in the index table; freed under the write lock alone, so that a reader never sees one go.
struct Keypair {
  Keypair(Peer* owner, uint32_t local, uint32_t remote, const uint8_t* sending, const uint8_t* opening,
          bool isInitiator, int64_t created)
      : peer(owner),
        localIndex(local),
        remoteIndex(remote),
        initiator(isInitiator),
        createdAt(created),
        sendKey(sending),
        receiveKey(opening),
        sealer(sending),
        opener(opening) {}

  Peer* const peer;
  const uint32_t localIndex;
  const uint32_t remoteIndex;
  const bool initiator;
  const int64_t createdAt;
  const KeyBytes sendKey;
  const KeyBytes receiveKey;

  Aead sealer;               // the sending thread's
  uint64_t sendCounter = 0;  // the sending thread's
  std::atomic<bool> rekeyTold{false};
  std::atomic<bool> dead{false};  // out of every slot, not yet out of the table

  std::mutex receiving;  // both receiving threads may hold packets of one keypair
  Aead opener;
  ReplayWindow window;
};

// Packets that wait for a keypair. The sending thread's. Slots keep their memory while the peer is out of reach; `memory` is
// that of all peers.
class Staging {
 public:
  explicit Staging(std::atomic<size_t>& memory) : memory_(memory) {}
  ~Staging() {
    for (const auto& slot : slots_) memory_.fetch_sub(slot.capacity(), std::memory_order_relaxed);
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // False when the oldest had to go, or this one when all peers' take too much.
  bool push(const uint8_t* packet, size_t length) {
    auto& slot = slots_[(first_ + count_) % kMaxStaged];
    const size_t size = Aead::kFront + length + kPaddingUnit + Aead::kBack;
    if (size > slot.capacity()) {
      if (count_ >= kFewStaged && memory_.load(std::memory_order_relaxed) + size > kMaxStagedBytes) return false;
      memory_.fetch_sub(slot.capacity(), std::memory_order_relaxed);
      slot = {};
      slot.reserve(size);
      memory_.fetch_add(slot.capacity(), std::memory_order_relaxed);
    }
    slot.resize(size);
    if (length != 0) std::memcpy(slot.data() + Aead::kFront, packet, length);
    if (count_ < kMaxStaged) {
      count_++;
      return true;
    }
    first_ = (first_ + 1) % kMaxStaged;
    return false;
  }
  size_t size() const { return count_; }
  // Valid until the next push; with room to pad and seal.
  Slice at(size_t index) {
    auto& slot = slots_[(first_ + index) % kMaxStaged];
    return {slot.data() + Aead::kFront, slot.size() - Aead::kFront - kPaddingUnit - Aead::kBack};
  }

 private:
  std::atomic<size_t>& memory_;
  std::array<std::vector<uint8_t>, kMaxStaged> slots_;
  size_t first_ = 0;
  size_t count_ = 0;
};

// Edges to JavaScript, as bits: those of EDGE in src/engine/native.ts.
enum Edge : uint32_t {
  kStagedEdge = 1,
  kDataSentEdge = 2,
  kDataReceivedEdge = 4,
  kRekeyEdge = 8,
  kConfirmedEdge = 16,
};

// What the sending thread is asked to do for a peer, as bits: those of REQUEST in src/engine/native.ts.
enum Request : uint32_t { kFlushRequest = 1, kKeepaliveRequest = 2, kDropStagedRequest = 4 };

struct Peer : AllowedIpOwner {
  explicit Peer(uint32_t number) : id(number) {}

  const uint32_t id;

  std::mutex place;  // guards the two below
  Endpoint endpoint;
  bool roamed = false;

  std::mutex slots;  // serialises moves between the slots; reading one needs no lock
  std::atomic<Keypair*> previous{nullptr};
  std::atomic<Keypair*> current{nullptr};
  std::atomic<Keypair*> next{nullptr};

  std::unique_ptr<Staging> staging;
  std::atomic<uint32_t> requests{0};

  std::atomic<uint32_t> armed{kStagedEdge | kDataSentEdge | kDataReceivedEdge};
  std::atomic<uint32_t> edges{0};

  // Milliseconds of Clock; 0 is never.
  std::atomic<int64_t> lastSent{0};
  std::atomic<int64_t> lastReceived{0};
  std::atomic<int64_t> unansweredSince{0};
  std::atomic<int64_t> unacknowledgedSince{0};

  std::atomic<uint64_t> sentBytes{0};
  std::atomic<uint64_t> receivedBytes{0};
};

}  // namespace pellicle
