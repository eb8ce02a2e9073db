#include "espsend.h"

#include "ip.h"
#include "limits.h"
#include "segment.h"

namespace pellicle {

EspSender::EspSender(EspLoop& loop) : TunReader(loop), sealed_(new uint8_t[kRoom]()) {}

void EspSender::handle(const Offload& offload, uint8_t* packet, size_t length) {
  const int version = ipVersion(packet, length);
  if (version == 0) return count(nullptr, EspDrop::kOutStateMode);
  auto* sa = static_cast<OutboundSa*>(loop_.policies_.lookup(destinationOf(packet)));
  // No peer's, ever: the kernel itself tells its groups to every device with an IPv6 address.
  if (sa == nullptr) return count(nullptr, isMulticast(packet) ? EspDrop::kMulticast : EspDrop::kOutNoState);
  if (sa->isOwn(packet, length)) return count(sa, EspDrop::kOwnDatagram);
  Segments segments(offload, packet, length);
  if (!segments.valid()) return count(sa, EspDrop::kBadOffload);
  const uint8_t nextHeader = version == 4 ? kNextIpv4 : kNextIpv6;
  Slice slice;
  while (segments.next(slice)) seal(*sa, slice.bytes, slice.length, nextHeader);
}

void EspSender::handleRequests() {
  std::vector<uint32_t> states;
  {
    const std::lock_guard lock(loop_.probesMutex_);
    states.swap(loop_.probes_);
  }
  for (const uint32_t state : states) {
    if (OutboundSa* sa = loop_.outbound(state)) seal(*sa, packet(), 0, kNextNone);
  }
}

void EspSender::seal(OutboundSa& sa, uint8_t* payload, size_t length, uint8_t nextHeader) {
  const size_t size = sa.sealedLength(length);
  if (size > kMaxTrain) return count(&sa, EspDrop::kSendFailed);
  const EspEncapsulation& encapsulation = sa.parameters.encapsulation;
  const bool v6 = sa.to.isV6();
  const bool isTrain = encapsulation.sourcePort != 0;
  if (isTrain) {
    const bool fits = train_.sa == &sa && !train_.complete && size <= train_.segment && length_ + size <= kMaxTrain &&
                      train_.count < kMaxTrainSegments;
    if (!fits) {
      flush();
      train_.sa = &sa;
      train_.segment = size;
    }
  } else {
    const EspSockets& sockets = *loop_.sockets_;
    const int fd = v6 ? sockets.raw6 : sockets.raw4;
    if (fd < 0) return count(&sa, EspDrop::kNoSocket);
    if (fd != rawFd_ || train_.sa != nullptr || raw_.count() == RawBatch::kMost || length_ + size > kRoom) flush();
    rawFd_ = fd;
  }
  uint8_t* out = sealed_.get() + length_;
  size_t written = 0;
  const EspDrop reason = sa.seal(payload, length, nextHeader, out, written);
  if (reason != EspDrop::kNone) return count(&sa, reason);
  sa.counters.lastUsed.store(now_, std::memory_order_relaxed);
  if (isTrain) {
    train_.count++;
    train_.complete = size < train_.segment;
  } else {
    raw_.add(sa, out, written);
  }
  length_ += written;
}

void EspSender::flush() {
  if (raw_.count() > 0) raw_.send(rawFd_, loop_.drops_);
  if (train_.count > 0) flushTrain();
  train_ = {};
  length_ = 0;
}

void EspSender::flushTrain() {
  OutboundSa& sa = *train_.sa;
  const int fd = loop_.sockets_->udpOf(sa.parameters.encapsulation.sourcePort, sa.to.isV6());
  if (fd < 0) return count(&sa, EspDrop::kNoSocket, train_.count);
  bool sourceFailed = false;
  if (sendTrain(fd, sa.to, sealed_.get(), length_, train_.segment, 0, sourceFailed) != 0) {
    count(&sa, EspDrop::kSendFailed, train_.count);
  }
}

void EspSender::count(OutboundSa* sa, EspDrop reason, uint64_t packets) {
  if (sa != nullptr) sa->counters.drops.count(reason, packets);
  loop_.drops_.count(reason, packets);
}

}  // namespace pellicle
