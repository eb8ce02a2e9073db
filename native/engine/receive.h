// UDP to TUN, for one address family: opens trains of datagrams in place, checks who sent them, and writes them merged.
#pragma once

#include <cstdint>

#include "coalesce.h"
#include "loop.h"
#include "udp.h"

namespace pellicle {

class Receiver {
 public:
  Receiver(Loop& loop, bool v6);
  void run();

 private:
  static constexpr int kTrainsAtOnce = 16;
  static constexpr int kLastTurns = 256;

  // All that waits; whether that was little.
  bool receive(int fd);
  void takeRest(int fd);
  void handleTrain();
  void handleDatagram(uint8_t* datagram, size_t length);
  void handleData(uint8_t* datagram, size_t length);
  void deliver(Peer& peer, const uint8_t* packet, size_t length, size_t datagramLength);
  void authenticated(Keypair& keypair);
  void confirm(Keypair& keypair);
  void follow(Peer& peer);
  static bool write(void* context, uint8_t* bytes, size_t length);

  Loop& loop_;
  const bool v6_;
  Signal& signal_;
  Coalescer coalescer_;
  Arrival arrival_;
  Peer* followed_ = nullptr;  // whose endpoint this train has been compared with
  int delivered_ = 0;         // packets for the TUN, of this batch
  int64_t now_ = 0;
};

}  // namespace pellicle
