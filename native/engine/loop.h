// The packet loop of one interface: three threads (TUN to UDP, and UDP to TUN for each family) and one that watches the
// link. JavaScript's thread configures it and takes handshake messages and edges; it never sees a data packet.
//
// Locks, in this order: `state` (shared by the threads for a batch, exclusive for a change of the configuration), the turn at
// the TUN (tunreader.h), then a peer's `slots` or `place`, or a keypair's `receiving`. Peers and keypairs are freed under the
// exclusive lock alone, so that whoever holds it shared may keep pointers to them.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "allowedips.h"
#include "clock.h"
#include "drops.h"
#include "linkwatch.h"
#include "mac1.h"
#include "outbox.h"
#include "ownindexes.h"
#include "peer.h"
#include "portfilter.h"
#include "signal.h"
#include "statelock.h"
#include "threads.h"
#include "tun.h"
#include "tunwatch.h"
#include "udp.h"

namespace pellicle {

struct LoopOptions {
  double clockSpeed = 1;
  uint64_t rekeyAfterMessages = kRekeyAfterMessages;
  uint64_t rejectAfterMessages = kRejectAfterMessages;
};

class Sender;
class Receiver;

class Loop {
 public:
  Loop(Tun tun, LoopOptions options, std::function<void()> wake, bool starts = true);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Everything below is for JavaScript's thread.

  // Once stopped, no packet is under way in here: what was read is sent or written, the rest waits in the kernel. Nothing
  // is sealed or opened until it starts again, where it stopped.
  void start();
  void stop();

  const Tun& tun() const { return tun_; }
  const Clock& clock() const { return clock_; }
  LinkState link() const { return {linkUp_.load(), mtu_.load()}; }
  Outbox& outbox() { return outbox_; }
  // With what the kernel dropped since the last call.
  Drops& drops() {
    drops_.count(Drop::kMalformed, filter_.takeDropped());
    return drops_;
  }

  // 0 or an errno; the sockets in use stay when it fails. Port 0 is a random one.
  int bind(uint16_t port);
  void unbind();
  uint16_t port() const { return sockets_ ? sockets_->port : 0; }
  void setMark(uint32_t mark);
  void setMac1Key(const std::optional<Mac1::Key>& key);
  // Sends one handshake message. 0 or an errno.
  int transmit(const Endpoint& to, const uint8_t* bytes, size_t length);

  Peer* addPeer();
  Peer* peer(uint32_t id) const;
  void removePeer(uint32_t id);
  void setEndpoint(Peer& peer, const Endpoint& endpoint);
  Endpoint endpoint(Peer& peer);
  // Whether the endpoint is another one than was set or taken last.
  bool takeRoamed(Peer& peer, Endpoint& endpoint);

  struct AllowedIpChange {
    Prefix prefix;
    bool remove = false;
  };
  // With `replace`, what is not named goes away, after the named ones are there.
  void changeAllowedIps(Peer& peer, const std::vector<AllowedIpChange>& changes, bool replace);

  void installKeypair(std::unique_ptr<Keypair> keypair);
  void retire(uint32_t localIndex);
  // Frees what fell out of its slot; the indexes that are free again.
  std::vector<uint32_t> takeReleased();
  void request(Peer& peer, Request request);
  // Tells the edge with the next data packet, or at once if its time is `after` or later already.
  void watch(Peer& peer, Edge edge, int64_t after);

 private:
  template <class, class>
  friend class TunReader;
  friend class Sender;
  friend class Receiver;
  friend class LoopHandover;

  Keypair* keypair(uint32_t localIndex) const {
    const auto found = keypairs_.find(localIndex);
    return found == keypairs_.end() || found->second->dead.load(std::memory_order_relaxed) ? nullptr
                                                                                             : found->second.get();
  }
  bool usable(const Keypair& keypair, int64_t now) const { return now - keypair.createdAt < kRejectAfterMs; }
  // What `watch` reads is written before it: of the two at once one sees what the other wrote, so that no edge is lost. The
  // order of both has to be the strictest.
  void tellIfArmed(Peer& peer, Edge edge) {
    if ((peer.armed.load() & edge) == 0) return;
    if (peer.armed.fetch_and(~edge) & edge) outbox_.tell(peer, edge);
  }
  void tellGone() { outbox_.tellLink(true); }
  Signal& receiveSignal(int receiver) { return receiveSignals_[receiver]; }
  void letGo(Keypair* keypair);
  void filter(const UdpSockets& sockets) const;
  std::shared_ptr<UdpSockets> sockets();
  void replaceSockets(std::shared_ptr<UdpSockets> sockets);
  void tellPort();
  void watchLink();
  void checkSources();
  void forgetSource(Peer& peer, const Endpoint& of);

  const Tun tun_;
  const LoopOptions options_;
  const Clock clock_;
  Drops drops_;
  Outbox outbox_;

  std::atomic<size_t> stagedMemory_{0};

  StateLock state_;
  AllowedIps allowedIps_;
  std::unordered_map<uint32_t, std::unique_ptr<Peer>> peers_;
  std::unordered_map<uint32_t, std::unique_ptr<Keypair>> keypairs_;
  std::shared_ptr<UdpSockets> sockets_;
  PortFilter filter_;
  Mac1 mac1_;
  OwnIndexes ownIndexes_;
  uint32_t nextPeer_ = 1;
  uint64_t allowedIpsMark_ = 0;

  std::atomic<uint32_t> mark_{0};
  std::atomic<bool> linkUp_{false};
  std::atomic<uint32_t> mtu_{0};
  std::atomic<bool> stopping_{false};

  std::mutex requestsMutex_;
  std::vector<uint32_t> requests_;

  TunWatch tunWatch_;
  Signal sendSignal_;
  Signal receiveSignals_[2];
  Signal watchSignal_;
  LinkWatch linkWatch_;  // the watcher's, once that runs
  std::unique_ptr<Sender> sending_;  // while the threads run
  std::thread sender_;
  std::thread receivers_[2];
  std::thread watcher_;
};

}  // namespace pellicle
