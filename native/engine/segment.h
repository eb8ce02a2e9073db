// Software TSO and USO: a packet as the TUN device hands it over (virtio_net.h) becomes the packets that go on the wire,
// one after the other, each with its headers and checksums, in place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "offload.h"

namespace pellicle {

struct Slice {
  uint8_t* bytes;
  size_t length;
};

class Segments {
 public:
  // The packet is changed while it is split. Up to 16 bytes behind each slice may be overwritten for a while by the
  // caller, who restores them.
  Segments(const Offload& offload, uint8_t* packet, size_t length);

  // False for an offload header that does not fit the packet: then there is no slice.
  bool valid() const { return valid_; }

  // False at the end. Invalidates the slice before.
  bool next(Slice& slice);

 private:
  static constexpr size_t kMaxHeaders = 256;

  bool prepareSplit(const Offload& offload);
  void completeChecksum(size_t start, size_t field);

  uint8_t* packet_;
  size_t length_;
  bool valid_ = true;
  bool whole_ = true;  // one slice, as it is
  bool done_ = false;

  uint8_t headers_[kMaxHeaders];
  size_t headerLength_ = 0;
  size_t transport_ = 0;  // offset of the TCP or UDP header
  uint8_t protocol_ = 0;
  size_t segmentSize_ = 0;
  size_t offset_ = 0;  // of the payload that comes next
  uint32_t index_ = 0;
};

}  // namespace pellicle
