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

  // For another thread, which has just written one packet to the TUN: what the kernel answered it with by itself (an echo, an
  // acknowledgement) goes out now, before the thread that waits for it is awake. Under the shared lock of the state.
  void answer();

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
  int64_t now_ = 0;
  std::mutex turn_;  // who holds it reads the TUN, seals and sends: packets of a flow stay in order
};

}  // namespace pellicle
