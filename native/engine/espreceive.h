// The sockets to TUN: opens what came, checks where it comes from and goes to, and writes it merged.
#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "coalesce.h"
#include "esploop.h"
#include "espraw.h"
#include "udp.h"

namespace pellicle {

class EspReceiver {
 public:
  explicit EspReceiver(EspLoop& loop);
  void run();

 private:
  static constexpr int kTrainsAtOnce = 16;

  static constexpr size_t kFirstUdp = 4;  // of what is waited for: signal, TUN, raw sockets, then UDP ones in pairs

  void listen();
  // All that waits; whether that was little.
  bool receive();
  void receiveRaw(int fd, bool v6);
  void receiveUdp(int fd, uint16_t port);
  // `id` has no SPI yet. `port` is ours of RFC 3948, or 0.
  void handle(uint8_t* packet, size_t length, EspId& id, uint16_t port);
  InboundSa* find(const EspId& id, uint16_t port);
  void count(InboundSa* sa, EspDrop reason);
  static bool write(void* context, uint8_t* bytes, size_t length);

  EspLoop& loop_;
  std::shared_ptr<EspSockets> sockets_;
  std::vector<pollfd> waiting_;
  Coalescer coalescer_;
  Arrival arrival_;
  RawArrival raw_;
  InboundSa* last_ = nullptr;  // the one of the packet before, in this batch
  int packets_ = 0;    // of this batch
  int delivered_ = 0;  // those for the TUN
  int64_t now_ = 0;
};

}  // namespace pellicle
