// TUN to the sockets: reads super-packets, splits them, seals the segments side by side and sends them at once: in UDP as
// one train, in IP itself with one call for many.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "esploop.h"
#include "espraw.h"
#include "offload.h"

namespace pellicle {

class EspSender {
 public:
  explicit EspSender(EspLoop& loop);
  void run();

  // As Sender::answer.
  bool answer();

 private:
  // Datagrams of one SA, all of `segment` bytes but the last.
  struct Train {
    OutboundSa* sa = nullptr;
    size_t count = 0;
    size_t segment = 0;
    bool complete = false;
  };

  static constexpr int kReadsAtOnce = 64;
  static constexpr size_t kRoom = 131'072;

  // Reads up to so many packets and sends them; whether they were few.
  bool takeTurn(int most);
  // False when nothing waits.
  bool readOne();
  void handle(const Offload& offload, uint8_t* packet, size_t length);
  void sendProbes();
  void seal(OutboundSa& sa, uint8_t* payload, size_t length, uint8_t nextHeader);
  void flush();
  void flushTrain();
  void count(OutboundSa* sa, EspDrop reason, uint64_t packets = 1);
  uint8_t* packet() { return buffer_.get() + sizeof(Offload) + kFront; }

  static constexpr size_t kFront = 6;  // keeps the packet aligned

  EspLoop& loop_;
  std::unique_ptr<uint8_t[]> buffer_;
  std::unique_ptr<uint8_t[]> sealed_;
  size_t length_ = 0;  // of what is sealed and not sent
  Train train_;
  bool gone_ = false;   // the device was deleted
  bool split_ = false;  // a super-packet came in this turn
  RawBatch raw_;
  int rawFd_ = -1;
  int64_t now_ = 0;
  std::mutex turn_;  // who holds it reads the TUN, seals and sends: packets of a flow stay in order
};

}  // namespace pellicle
