// TUN to UDP: reads super-packets, splits them, seals the segments side by side and sends each train at once.
#pragma once

#include <cstdint>
#include <memory>

#include "loop.h"
#include "segment.h"
#include "tunreader.h"

namespace pellicle {

class Sender : public TunReader<Sender, Loop> {
 public:
  explicit Sender(Loop& loop);

 private:
  friend class TunReader<Sender, Loop>;

  static constexpr size_t kFront = Aead::kFront;
  static constexpr size_t kBack = kPaddingUnit + Aead::kBack;

  // Datagrams of one keypair, all of `segment` bytes but the last.
  struct Train {
    Keypair* keypair = nullptr;
    size_t count = 0;
    size_t segment = 0;
    size_t length = 0;
    bool complete = false;
    bool data = false;  // more than keepalives
  };

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

  std::unique_ptr<uint8_t[]> sealedBuffer_;
  Train train_;
};

}  // namespace pellicle
