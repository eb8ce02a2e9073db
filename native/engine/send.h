// TUN to UDP: reads super-packets, splits them, seals the segments side by side and sends each train at once.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "loop.h"
#include "segment.h"
#include "offload.h"

namespace pellicle {

class Sender {
 public:
  explicit Sender(Loop& loop);
  void run();

  // For a receiving thread, under the shared lock of the state: sends what waits in the TUN, if that is little. False when it
  // is more, or the sending thread is at it.
  bool answer();

 private:
  // Datagrams of one keypair, all of `segment` bytes but the last.
  struct Train {
    Keypair* keypair = nullptr;
    size_t count = 0;
    size_t segment = 0;
    size_t length = 0;
    bool complete = false;
    bool data = false;  // more than keepalives
  };

  static constexpr int kReadsAtOnce = 64;

  // Reads up to so many packets and sends them; whether they were few.
  bool takeTurn(int most);
  // False when nothing waits.
  bool readOne();
  void handle(const Offload& offload, uint8_t* packet, size_t length);
  void handleRequests();
  void sendStaged(Peer& peer, Keypair* keypair);
  void stage(Peer& peer, const uint8_t* packet, size_t length);
  // The current keypair if it may still seal, else null.
  Keypair* sealing(Peer& peer) const;
  // `packet` has 16 bytes behind it that may be overwritten for a while, and the room that Aead needs around it.
  void seal(Keypair* keypair, uint8_t* packet, size_t length);
  void flush();
  size_t padded(size_t length) const;
  uint8_t* sealed() { return sealedBuffer_.get() + Aead::kFront; }

  Loop& loop_;
  std::unique_ptr<uint8_t[]> buffer_;
  std::unique_ptr<uint8_t[]> sealedBuffer_;
  Train train_;
  bool gone_ = false;   // the device was deleted
  bool split_ = false;  // a super-packet came in this turn
  int64_t now_ = 0;
  std::mutex turn_;  // who holds it reads the TUN, seals and sends: packets of a flow stay in order
};

}  // namespace pellicle
