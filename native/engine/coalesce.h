// Software GRO before the TUN: TCP segments of one flow that follow each other become one packet and one write.
// Each packet is opened straight to behind the payload of the one before, so that merging copies no payload.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "limits.h"

namespace pellicle {

class Coalescer {
 public:
  // Takes one packet: the offload header and the packet behind it. False when it could not be written.
  using Write = bool (*)(void* context, uint8_t* bytes, size_t length);

  Coalescer(Write write, void* context);

  // Where the next packet of at most `length` bytes goes. Then either commit or discard it.
  uint8_t* place(size_t length);
  void discard();
  // `length` is that of the packet itself, without padding. It must be an IP packet of that stated length.
  void commit(size_t length);
  void flush();

  // Packets that could not be written since the last call.
  uint64_t takeFailed();

 private:
  static constexpr size_t kMaxHeaders = 128;
  static constexpr size_t kFront = 64;  // room for the offload header and for Aead, keeps packets aligned
  static constexpr size_t kBack = 256;

  uint8_t* packet() { return buffer_.get() + kFront; }
  void begin(size_t length);
  bool append(const uint8_t* candidate, size_t length);
  void restore();

  Write write_;
  void* context_;
  std::unique_ptr<uint8_t[]> buffer_;
  uint64_t failed_ = 0;

  size_t length_ = 0;  // of the packet that is being gathered; 0 is none
  bool open_ = false;  // another segment may be merged into it
  bool verified_ = false;
  size_t count_ = 0;
  size_t headers_ = 0;  // length of its IP and TCP headers
  size_t transport_ = 0;
  size_t segmentSize_ = 0;
  uint32_t nextSequence_ = 0;

  uint8_t* place_ = nullptr;
  size_t saved_ = 0;  // bytes of gathered payload under the place
  uint8_t save_[kMaxHeaders];
};

}  // namespace pellicle
