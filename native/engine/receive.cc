#include "receive.h"

#include <poll.h>

#include <algorithm>

#include "ip.h"
#include "send.h"

namespace pellicle {

Receiver::Receiver(Loop& loop, bool v6)
    : loop_(loop), v6_(v6), signal_(loop.receiveSignals_[v6]), coalescer_(&Receiver::write, this) {}

void Receiver::run() {
  std::shared_ptr<UdpSockets> sockets = loop_.sockets();
  while (!loop_.stopping_) {
    const int fd = sockets ? (v6_ ? sockets->v6 : sockets->v4) : -1;
    const bool watches = loop_.tunWatch_.by() == v6_;
    pollfd waiting[] = {{signal_.fd(), POLLIN, 0}, {fd, POLLIN, 0}, {watches ? loop_.tun_.fd : -1, POLLIN, 0}};
    poll(waiting, 3, -1);
    if (waiting[0].revents != 0) {
      signal_.clear();
      std::shared_ptr<UdpSockets> others = loop_.sockets();
      if (others && others != sockets && fd >= 0) takeRest(fd);
      sockets = std::move(others);
      continue;
    }
    const std::shared_lock lock(loop_.state_);
    delivered_ = 0;
    const bool few = waiting[1].revents == 0 || receive(fd);
    loop_.sending_->answer(few, delivered_, watches, waiting[2].revents);
  }
}

// What came to a port before another one took its place; not for ever, as more may come until it is closed.
void Receiver::takeRest(int fd) {
  for (int turns = 0; turns < kLastTurns; turns++) {
    const std::shared_lock lock(loop_.state_);
    if (receive(fd)) return;
  }
}

bool Receiver::receive(int fd) {
  int trains = 0;
  while (trains < kTrainsAtOnce && receiveTrain(fd, arrival_)) {
    trains++;
    handleTrain();
  }
  coalescer_.flush();
  loop_.drops_.count(Drop::kTunWriteFailed, coalescer_.takeFailed());
  if (delivered_ > 0) loop_.tunWatch_.delivered(v6_);
  const bool few = trains <= TunWatch::kFew && delivered_ <= TunWatch::kFew;
  if (!few) loop_.tunWatch_.busy(now_);
  return few;
}

void Receiver::handleTrain() {
  now_ = loop_.clock_.now();
  followed_ = nullptr;
  if (arrival_.length == 0) return loop_.drops_.count(Drop::kMalformed);
  for (size_t at = 0; at < arrival_.length; at += arrival_.segment) {
    handleDatagram(arrival_.bytes() + at, std::min(arrival_.segment, arrival_.length - at));
  }
}

void Receiver::handleDatagram(uint8_t* datagram, size_t length) {
  const uint32_t type = length >= 4 ? load<uint32_t>(datagram) : 0;
  if (type == kData && length >= kDataOverhead) return handleData(datagram, length);
  const bool handshake = (type == kInitiation && length == kInitiationSize) ||
                         (type == kResponse && length == kResponseSize) ||
                         (type == kCookieReply && length == kCookieReplySize);
  if (!handshake) return loop_.drops_.count(Drop::kMalformed);
  if (type == kCookieReply) {
    if (!loop_.ownIndexes_.has(load<uint32_t>(datagram + 4))) return loop_.drops_.count(Drop::kUnknownIndex);
  } else if (!loop_.mac1_.holds(datagram, length)) {
    return loop_.drops_.count(Drop::kBadMac1);
  }
  if (!loop_.outbox_.tellHandshake(datagram, length, arrival_.from)) loop_.drops_.count(Drop::kHandshakeQueueFull);
}

void Receiver::handleData(uint8_t* datagram, size_t length) {
  Keypair* keypair = loop_.keypair(load<uint32_t>(datagram + 4));
  if (keypair == nullptr) return loop_.drops_.count(Drop::kUnknownIndex);
  const auto counter = load<uint64_t>(datagram + 8);
  if (!loop_.usable(*keypair, now_) || counter >= loop_.options_.rejectAfterMessages) {
    return loop_.drops_.count(Drop::kExpired);
  }
  const size_t plain = length - kDataOverhead;
  uint8_t* packet = coalescer_.place(plain);
  {
    const std::lock_guard lock(keypair->receiving);
    if (!keypair->opener.open(counter, datagram + kDataHeaderSize, length - kDataHeaderSize, packet)) {
      coalescer_.discard();
      return loop_.drops_.count(Drop::kBadTag);
    }
    if (!keypair->window.accept(counter)) {
      coalescer_.discard();
      return loop_.drops_.count(Drop::kReplayed);
    }
  }
  authenticated(*keypair);
  deliver(*keypair->peer, packet, plain, length);
}

void Receiver::deliver(Peer& peer, const uint8_t* packet, size_t length, size_t datagramLength) {
  if (length == 0) {
    coalescer_.discard();
    peer.receivedBytes.fetch_add(datagramLength, std::memory_order_relaxed);
    return;
  }
  int64_t never = 0;
  peer.unacknowledgedSince.compare_exchange_strong(never, now_);
  loop_.tellIfArmed(peer, kDataReceivedEdge);
  const bool isIp = ipVersion(packet, length) != 0;
  const size_t stated = isIp ? statedLength(packet) : 0;
  if (!isIp || stated > length || stated < (packet[0] >> 4 == 4 ? kIpv4Header : kIpv6Header)) {
    coalescer_.discard();
    return loop_.drops_.count(Drop::kBadInnerPacket);
  }
  if (loop_.allowedIps_.lookup(sourceOf(packet)) != &peer) {
    coalescer_.discard();
    return loop_.drops_.count(Drop::kBadSource);
  }
  peer.receivedBytes.fetch_add(datagramLength, std::memory_order_relaxed);
  coalescer_.commit(stated);
  delivered_++;
}

void Receiver::authenticated(Keypair& keypair) {
  Peer& peer = *keypair.peer;
  if (followed_ != &peer) follow(peer);
  if (peer.next.load(std::memory_order_acquire) == &keypair) confirm(keypair);
  peer.lastReceived.store(now_, std::memory_order_relaxed);
  if (peer.unansweredSince.load(std::memory_order_relaxed) != 0) peer.unansweredSince.store(0, std::memory_order_relaxed);
  if (keypair.initiator && now_ - keypair.createdAt >= kRekeyOnReceiveAfterMs &&
      peer.current.load(std::memory_order_relaxed) == &keypair && !keypair.rekeyTold.exchange(true)) {
    loop_.outbox_.tell(peer, kRekeyEdge);
  }
}

// The peer seals with the new keypair, so it can open what is sealed with it.
void Receiver::confirm(Keypair& keypair) {
  Peer& peer = *keypair.peer;
  {
    const std::lock_guard lock(peer.slots);
    if (peer.next.load() != &keypair) return;
    loop_.letGo(peer.previous.load());
    peer.previous = peer.current.load();
    peer.current = &keypair;
    peer.next = nullptr;
  }
  loop_.outbox_.tell(peer, kConfirmedEdge);
  loop_.request(peer, kFlushRequest);
}

// An authenticated packet tells where the peer is, and which of our addresses it reaches us by.
void Receiver::follow(Peer& peer) {
  followed_ = &peer;
  const std::lock_guard lock(peer.place);
  if (peer.endpoint == arrival_.from) return;
  peer.endpoint = arrival_.from;
  peer.roamed = true;
}

bool Receiver::write(void* context, uint8_t* bytes, size_t length) {
  const auto* receiver = static_cast<Receiver*>(context);
  return ::write(receiver->loop_.tun_.fd, bytes, length) == static_cast<ssize_t>(length);
}

}  // namespace pellicle
