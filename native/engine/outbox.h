// What the threads have to tell JavaScript. It is woken once, then takes everything.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "drops.h"
#include "endpoint.h"
#include "limits.h"
#include "netlink.h"
#include "peer.h"

namespace pellicle {

struct Handshake {
  uint8_t bytes[kInitiationSize];
  size_t length;
  Endpoint from;
};

class Outbox {
 public:
  explicit Outbox(std::function<void()> wake) : wake_(std::move(wake)) { handshakes_.resize(kHandshakeRing); }

  // Called by any thread.
  void tell(Peer& peer, Edge edge) {
    if (peer.edges.fetch_or(edge) != 0) return;
    {
      const std::lock_guard lock(mutex_);
      peers_.push_back(peer.id);
    }
    wake();
  }
  void tellReleased(uint32_t localIndex) {
    {
      const std::lock_guard lock(mutex_);
      released_.push_back(localIndex);
    }
    wake();
  }
  void tellLink(bool gone) {
    (gone ? gone_ : linkChanged_).store(true);
    wake();
  }
  // False when the ring is full.
  bool tellHandshake(const uint8_t* bytes, size_t length, const Endpoint& from) {
    {
      const std::lock_guard lock(mutex_);
      if (queued_ == kHandshakeRing) return false;
      Handshake& slot = handshakes_[(firstHandshake_ + queued_++) % kHandshakeRing];
      std::memcpy(slot.bytes, bytes, length);
      slot.length = length;
      slot.from = from;
    }
    wake();
    return true;
  }

  // Called by JavaScript's thread.
  void awake() { waking_.store(false); }
  std::vector<uint32_t> takePeers() { return take(peers_); }
  std::vector<uint32_t> takeReleased() { return take(released_); }
  bool takeLinkChanged() { return linkChanged_.exchange(false); }
  bool gone() const { return gone_.load(); }
  size_t queuedHandshakes() {
    const std::lock_guard lock(mutex_);
    return queued_;
  }
  bool takeHandshake(Handshake& out) {
    const std::lock_guard lock(mutex_);
    if (queued_ == 0) return false;
    out = handshakes_[firstHandshake_];
    firstHandshake_ = (firstHandshake_ + 1) % kHandshakeRing;
    queued_--;
    return true;
  }

 private:
  void wake() {
    if (!waking_.exchange(true)) wake_();
  }
  std::vector<uint32_t> take(std::vector<uint32_t>& list) {
    const std::lock_guard lock(mutex_);
    return std::exchange(list, {});
  }

  std::function<void()> wake_;
  std::atomic<bool> waking_{false};
  std::atomic<bool> linkChanged_{false};
  std::atomic<bool> gone_{false};
  std::mutex mutex_;
  std::vector<uint32_t> peers_;
  std::vector<uint32_t> released_;
  std::vector<Handshake> handshakes_;
  size_t firstHandshake_ = 0;
  size_t queued_ = 0;
};

}  // namespace pellicle
