// TUN to the sockets: reads super-packets, splits them, seals the segments side by side and sends them at once: in UDP as
// one train, in IP itself with one call for many.
#pragma once

#include <cstdint>
#include <memory>

#include "esploop.h"
#include "espraw.h"
#include "tunreader.h"

namespace pellicle {

class EspSender : public TunReader<EspSender, EspLoop> {
 public:
  explicit EspSender(EspLoop& loop);

 private:
  friend class TunReader<EspSender, EspLoop>;

  static constexpr size_t kFront = 16;  // for the offload header; keeps the packet aligned
  static constexpr size_t kBack = kMaxEspTail;
  static constexpr size_t kRoom = 131'072;

  // Datagrams of one SA, all of `segment` bytes but the last.
  struct Train {
    OutboundSa* sa = nullptr;
    size_t count = 0;
    size_t segment = 0;
    bool complete = false;
  };

  void handle(const Offload& offload, uint8_t* packet, size_t length);
  // Sends the probes that were asked for.
  void handleRequests();
  void seal(OutboundSa& sa, uint8_t* payload, size_t length, uint8_t nextHeader);
  void flush();
  void flushTrain();
  void count(OutboundSa* sa, EspDrop reason, uint64_t packets = 1);

  std::unique_ptr<uint8_t[]> sealed_;
  size_t length_ = 0;  // of what is sealed and not sent
  Train train_;
  RawBatch raw_;
  int rawFd_ = -1;
};

}  // namespace pellicle
