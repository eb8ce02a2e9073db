#include "espreceive.h"

#include <unistd.h>

#include <algorithm>
#include <shared_mutex>

#include "espsend.h"
#include "ip.h"

namespace pellicle {
namespace {

constexpr uint8_t kNatKeepalive = 0xff;

}  // namespace

EspReceiver::EspReceiver(EspLoop& loop) : loop_(loop), coalescer_(&EspReceiver::write, this) {}

void EspReceiver::run() {
  listen();
  while (!loop_.stopping_) {
    const bool watches = loop_.tunWatch_.by() != TunWatch::kSender;
    pollfd& tun = waiting_[1];
    tun.fd = watches ? loop_.tun_.fd : -1;
    poll(waiting_.data(), waiting_.size(), -1);
    if (waiting_[0].revents != 0) {
      loop_.receiveSignal_.clear();
      listen();
      continue;
    }
    const std::shared_lock lock(loop_.state_);
    const bool few = receive();
    loop_.sending_->answer(few, delivered_, watches, tun.revents);
  }
}

bool EspReceiver::receive() {
  now_ = loop_.clock_.now();
  last_ = nullptr;
  packets_ = 0;
  delivered_ = 0;
  if (waiting_[2].revents != 0) receiveRaw(waiting_[2].fd, false);
  if (waiting_[3].revents != 0) receiveRaw(waiting_[3].fd, true);
  for (size_t i = kFirstUdp; i < waiting_.size(); i++) {
    if (waiting_[i].revents != 0) receiveUdp(waiting_[i].fd, sockets_->udp[(i - kFirstUdp) / 2]->port);
  }
  coalescer_.flush();
  loop_.drops_.count(EspDrop::kTunWriteFailed, coalescer_.takeFailed());
  const bool few = packets_ <= TunWatch::kFew;
  if (!few) loop_.tunWatch_.busy(now_);
  return few;
}

void EspReceiver::listen() {
  sockets_ = loop_.sockets();
  waiting_ = {{loop_.receiveSignal_.fd(), POLLIN, 0}, {-1, POLLIN, 0}, {sockets_->raw4, POLLIN, 0}, {sockets_->raw6, POLLIN, 0}};
  for (const auto& udp : sockets_->udp) {
    waiting_.push_back({udp->v4, POLLIN, 0});
    waiting_.push_back({udp->v6, POLLIN, 0});
  }
}

void EspReceiver::receiveRaw(int fd, bool v6) {
  for (int batches = 0; batches < kTrainsAtOnce; batches++) {
    const size_t received = raw_.receive(fd, v6);
    RawArrival::Packet packet;
    for (size_t i = 0; i < received; i++) {
      if (raw_.packet(i, v6, packet)) handle(packet.bytes, packet.length, packet.id, 0);
      else count(nullptr, EspDrop::kInHeader);
    }
    if (received < RawArrival::kMost) return;
  }
}

void EspReceiver::receiveUdp(int fd, uint16_t port) {
  for (int trains = 0; trains < kTrainsAtOnce && receiveTrain(fd, arrival_); trains++) {
    const Endpoint& from = arrival_.from;
    EspId id;
    id.family = from.isV6() ? 6 : 4;
    if (from.isV6()) std::memcpy(id.source(), &from.v6.sin6_addr, 16);
    else std::memcpy(id.source(), &from.v4.sin_addr, 4);
    std::memcpy(id.destination(), &from.source, from.isV6() ? 16 : 4);
    if (arrival_.length == 0) count(nullptr, EspDrop::kInHeader);
    for (size_t at = 0; at < arrival_.length; at += arrival_.segment) {
      uint8_t* datagram = arrival_.bytes() + at;
      const size_t length = std::min(arrival_.segment, arrival_.length - at);
      // RFC 3948, section 2.3. What has an SPI of zero is IKE (section 2.2), which is not spoken here.
      if (length == 1 && datagram[0] == kNatKeepalive) continue;
      handle(datagram, length, id, port);
    }
  }
}

void EspReceiver::handle(uint8_t* packet, size_t length, EspId& id, uint16_t port) {
  packets_++;
  if (length < kEspHeader) return count(nullptr, EspDrop::kInHeader);
  id.spi = loadBig32(packet);
  InboundSa* sa = find(id, port);
  if (sa == nullptr) return count(nullptr, EspDrop::kInNoState);
  const size_t sealed = sa->openedLength(length);
  if (sealed == 0) return count(sa, EspDrop::kInHeader);
  uint8_t* inner = coalescer_.place(sealed);
  EspOpened opened;
  EspDrop reason = sa->open(packet, length, inner, opened);
  if (reason == EspDrop::kNone || reason == EspDrop::kInStateMode) {
    sa->counters.lastUsed.store(now_, std::memory_order_relaxed);
  }
  if (reason == EspDrop::kNone && opened.length > 0 &&
      !(sa->permits(inner) && contains(loop_.local_, destinationOf(inner)))) {
    reason = EspDrop::kInTemplateMismatched;
  }
  if (reason == EspDrop::kNone && opened.length > 0) {
    delivered_++;
    return coalescer_.commit(opened.length);
  }
  coalescer_.discard();
  if (reason != EspDrop::kNone) count(sa, reason);
}

InboundSa* EspReceiver::find(const EspId& id, uint16_t port) {
  if (last_ == nullptr || !(last_->parameters.id == id)) {
    const auto found = loop_.byId_.find(id);
    last_ = found == loop_.byId_.end() ? nullptr : found->second;
  }
  return last_ != nullptr && last_->parameters.encapsulation.destinationPort == port ? last_ : nullptr;
}

void EspReceiver::count(InboundSa* sa, EspDrop reason) {
  if (sa != nullptr) sa->counters.drops.count(reason);
  loop_.drops_.count(reason);
}

bool EspReceiver::write(void* context, uint8_t* bytes, size_t length) {
  const auto* receiver = static_cast<EspReceiver*>(context);
  return ::write(receiver->loop_.tun_.fd, bytes, length) == static_cast<ssize_t>(length);
}

}  // namespace pellicle
