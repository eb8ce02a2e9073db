#include "send.h"

#include <algorithm>
#include <utility>

#include "ip.h"

namespace pellicle {

namespace {

// Whether a packet is a data message that was sealed with the keypair: a route led it back into its own tunnel. Sealing it
// again would go on for ever, as it leaves by the same route.
bool isSealedWith(const Keypair& keypair, const uint8_t* packet, size_t length) {
  const bool v4 = packet[0] >> 4 == 4;
  const size_t transport = v4 ? static_cast<size_t>(packet[0] & 15) * 4 : kIpv6Header;
  const size_t message = transport + kUdpHeader;
  if (packet[v4 ? 9 : 6] != kUdp || length < message + kDataOverhead) return false;
  return load<uint32_t>(packet + message) == kData && load<uint32_t>(packet + message + 4) == keypair.remoteIndex;
}

}  // namespace

Sender::Sender(Loop& loop)
    : TunReader(loop), sealedBuffer_(new uint8_t[Aead::kFront + kMaxTrain + Aead::kBack]()) {}

void Sender::handle(const Offload& offload, uint8_t* packet, size_t length) {
  if (ipVersion(packet, length) == 0) return loop_.drops_.count(Drop::kNotIp);
  auto* peer = static_cast<Peer*>(loop_.allowedIps_.lookup(destinationOf(packet)));
  if (peer == nullptr) return loop_.drops_.count(Drop::kNoPeer);
  Segments segments(offload, packet, length);
  if (!segments.valid()) return loop_.drops_.count(Drop::kBadOffload);
  Keypair* keypair = sealing(*peer);
  Slice slice;
  if (keypair == nullptr) {
    if (!loop_.endpoint(*peer).known()) return loop_.drops_.count(Drop::kNoEndpoint);
    while (segments.next(slice)) stage(*peer, slice.bytes, slice.length);
    return loop_.tellIfArmed(*peer, kStagedEdge);
  }
  if (isSealedWith(*keypair, packet, length)) return loop_.drops_.count(Drop::kOwnDatagram);
  if (peer->staging) sendStaged(*peer, keypair);
  while (segments.next(slice)) seal(keypair, slice.bytes, slice.length);
}

void Sender::handleRequests() {
  std::vector<uint32_t> peers;
  {
    const std::lock_guard lock(loop_.requestsMutex_);
    peers.swap(loop_.requests_);
  }
  for (const uint32_t id : peers) {
    const auto found = loop_.peers_.find(id);
    if (found == loop_.peers_.end()) continue;
    Peer& peer = *found->second;
    const uint32_t requests = peer.requests.exchange(0);
    if ((requests & kDropStagedRequest) != 0) {
      if (peer.staging) loop_.drops_.count(Drop::kStagingCleared, peer.staging->size());
      peer.staging.reset();
      peer.armed.fetch_or(kStagedEdge);
    }
    if ((requests & (kFlushRequest | kKeepaliveRequest)) == 0) continue;
    if ((requests & kKeepaliveRequest) != 0 && !peer.staging) stage(peer, nullptr, 0);
    Keypair* keypair = sealing(peer);
    if (keypair != nullptr) {
      sendStaged(peer, keypair);
    } else if (peer.staging) {
      loop_.tellIfArmed(peer, kStagedEdge);
    }
  }
}

void Sender::sendStaged(Peer& peer, Keypair* keypair) {
  if (!peer.staging) return;
  const std::unique_ptr<Staging> staging = std::move(peer.staging);
  for (size_t i = 0; i < staging->size(); i++) {
    const Slice packet = staging->at(i);
    seal(keypair, packet.bytes, packet.length);
  }
  // What was sealed is in the train, not in the staging.
}

void Sender::stage(Peer& peer, const uint8_t* packet, size_t length) {
  if (!peer.staging) peer.staging = std::make_unique<Staging>(loop_.stagedMemory_);
  if (!peer.staging->push(packet, length)) loop_.drops_.count(Drop::kStagingFull);
}

Keypair* Sender::sealing(Peer& peer) const {
  Keypair* keypair = peer.current.load(std::memory_order_acquire);
  const bool usable = keypair != nullptr && loop_.usable(*keypair, now_) &&
                      keypair->sendCounter < loop_.options_.rejectAfterMessages;
  return usable ? keypair : nullptr;
}

void Sender::seal(Keypair* keypair, uint8_t* packet, size_t length) {
  if (keypair->sendCounter >= loop_.options_.rejectAfterMessages) {
    // In the middle of a super-packet: what is left of it waits for the next keypair.
    stage(*keypair->peer, packet, length);
    return loop_.tellIfArmed(*keypair->peer, kStagedEdge);
  }
  const size_t plain = padded(length);
  const size_t size = plain + kDataOverhead;
  if (size > kMaxTrain) return loop_.drops_.count(Drop::kSendFailed);
  const bool fits = train_.count > 0 && train_.keypair == keypair && !train_.complete && size <= train_.segment &&
                    train_.length + size <= kMaxTrain && train_.count < kMaxTrainSegments;
  if (!fits) {
    flush();
    train_.keypair = keypair;
    train_.segment = size;
  }
  uint8_t* datagram = sealed() + train_.length;
  const uint64_t counter = keypair->sendCounter++;
  store<uint32_t>(datagram, kData);
  store(datagram + 4, keypair->remoteIndex);
  store(datagram + 8, counter);
  // What is behind the packet may be the payload of the next segment.
  uint8_t behind[kPaddingUnit];
  const size_t padding = plain - length;
  std::memcpy(behind, packet + length, padding);
  std::memset(packet + length, 0, padding);
  const bool done = keypair->sealer.seal(counter, packet, plain, datagram + kDataHeaderSize);
  std::memcpy(packet + length, behind, padding);
  if (!done) return loop_.drops_.count(Drop::kSendFailed);
  train_.length += size;
  train_.count++;
  train_.complete = size < train_.segment;
  train_.data |= length > 0;
}

void Sender::flush() {
  if (train_.count == 0) return;
  const Train train = std::exchange(train_, {});
  Keypair& keypair = *train.keypair;
  Peer& peer = *keypair.peer;
  const Endpoint to = loop_.endpoint(peer);
  UdpSockets* sockets = loop_.sockets_.get();
  if (!to.known()) return loop_.drops_.count(Drop::kNoEndpoint, train.count);
  if (sockets == nullptr || sockets->of(to) < 0) return loop_.drops_.count(Drop::kNoSocket, train.count);
  bool sourceFailed = false;
  const int error = sendTrain(sockets->of(to), to, sealed(), train.length, train.segment, 0, sourceFailed);
  if (sourceFailed) loop_.forgetSource(peer, to);
  if (error != 0) {
    loop_.drops_.count(Drop::kSendFailed, train.count);
  } else {
    peer.sentBytes.fetch_add(train.length, std::memory_order_relaxed);
  }
  // Timers count what was tried: a peer that cannot be reached has to be noticed.
  peer.lastSent.store(now_, std::memory_order_relaxed);
  peer.unacknowledgedSince.store(0, std::memory_order_relaxed);
  if (train.data) {
    int64_t never = 0;
    peer.unansweredSince.compare_exchange_strong(never, now_);
    loop_.tellIfArmed(peer, kDataSentEdge);
  }
  const bool old = keypair.sendCounter > loop_.options_.rekeyAfterMessages ||
                   (keypair.initiator && now_ - keypair.createdAt >= kRekeyAfterMs);
  if (old && !keypair.rekeyTold.exchange(true)) loop_.outbox_.tell(peer, kRekeyEdge);
}

// To a multiple of 16, but not beyond the MTU; a packet longer than that is padded as its last part would be.
size_t Sender::padded(size_t length) const {
  const size_t mtu = loop_.mtu_.load(std::memory_order_relaxed);
  if (mtu == 0) return (length + kPaddingUnit - 1) / kPaddingUnit * kPaddingUnit;
  const size_t last = length > mtu ? length % mtu : length;
  const size_t rounded = std::min(mtu, (last + kPaddingUnit - 1) / kPaddingUnit * kPaddingUnit);
  return length + rounded - last;
}

}  // namespace pellicle
