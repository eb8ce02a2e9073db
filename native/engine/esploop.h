// The packet loop of one ESP device: a thread from the TUN to the sockets and one back. JavaScript's thread configures it;
// it never sees a packet.
//
// The lock `state` is held shared by the threads for a batch, exclusively for a change: SAs are freed under the exclusive
// lock alone, so whoever holds it shared may keep pointers to them.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "allowedips.h"
#include "clock.h"
#include "espdrops.h"
#include "espsa.h"
#include "espsockets.h"
#include "signal.h"
#include "statelock.h"
#include "tun.h"
#include "tunwatch.h"

namespace pellicle {

// One change of the configuration: all of it at once, between two packets.
struct EspChange {
  struct Policy {
    Prefix destinations;
    uint32_t state = 0;  // 0: nothing is sent there
  };
  struct Update {
    uint32_t state = 0;
    EspLimits limits;
    std::vector<Prefix> sources;
  };
  std::vector<uint32_t> removed;
  std::vector<std::pair<uint32_t, std::unique_ptr<OutboundSa>>> outbound;
  std::vector<std::pair<uint32_t, std::unique_ptr<InboundSa>>> inbound;
  std::vector<Update> updates;
  std::vector<Policy> policies;  // in this order
  bool setsLocal = false;
  std::vector<Prefix> local;
};

class EspSender;
class EspReceiver;

class EspLoop {
 public:
  // `wake` is called by any thread, when the device is gone.
  EspLoop(Tun tun, uint32_t mark, std::function<void()> wake, bool starts = true);
  ~EspLoop();
  EspLoop(const EspLoop&) = delete;
  EspLoop& operator=(const EspLoop&) = delete;

  // Everything below is for JavaScript's thread.

  // Once stopped, no packet is under way in here: what was read is sent or written, the rest waits in the kernel. Nothing
  // is sealed or opened until it starts again, where it stopped.
  void start();
  void stop();

  const Tun& tun() const { return tun_; }
  const Clock& clock() const { return clock_; }
  bool gone() const { return gone_.load(); }
  const EspDrops& drops() const { return drops_; }

  // 0 or an errno with what it met in `problem`: then nothing has changed.
  int apply(EspChange& change, std::string& problem);
  OutboundSa* outbound(uint32_t state) const;
  InboundSa* inbound(uint32_t state) const;
  // Sends a dummy packet (RFC 4303, section 2.6) soon. False for what is no outbound state.
  bool probe(uint32_t state);

 private:
  template <class, class>
  friend class TunReader;
  friend class EspSender;
  friend class EspReceiver;
  friend class EspLoopHandover;

  // Where an SA stopped, for one that comes with the same key.
  struct Stopped {
    uint64_t sequence = 0;
    uint64_t blocks = 0;
  };

  void tellGone() {
    gone_ = true;
    wake_();
  }
  Signal& receiveSignal(int) { return receiveSignal_; }
  void commit(EspChange& change);
  void remember(const std::string& keyName, const Stopped& stopped);
  std::shared_ptr<EspSockets> sockets();

  const Tun tun_;
  const Clock clock_{1};
  const uint32_t mark_;
  const std::function<void()> wake_;
  EspDrops drops_;
  std::atomic<bool> gone_{false};
  std::atomic<bool> stopping_{false};

  StateLock state_;
  AllowedIps policies_;
  std::unordered_map<uint32_t, std::unique_ptr<OutboundSa>> outbound_;
  std::unordered_map<uint32_t, std::unique_ptr<InboundSa>> inbound_;
  std::unordered_map<EspId, InboundSa*, EspIdHash> byId_;
  std::vector<Prefix> local_;
  std::shared_ptr<EspSockets> sockets_;

  std::unordered_map<std::string, Stopped> stopped_;  // JavaScript's thread alone

  std::mutex probesMutex_;
  std::vector<uint32_t> probes_;

  TunWatch tunWatch_;
  Signal sendSignal_;
  Signal receiveSignal_;
  std::unique_ptr<EspSender> sending_;  // while the threads run
  std::thread sender_;
  std::thread receiver_;
};

}  // namespace pellicle
