#include "handover.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <utility>

#include "archive.h"

namespace pellicle {
namespace {

template <class Reason>
void countsOf(auto& archive, DropCounts<Reason>& drops) {
  drops.each(archive);
}

void fieldsOf(auto& archive, Peer& peer) {
  archive(peer.endpoint);
  archive(peer.roamed);
  archive(peer.requests);
  archive(peer.armed);
  archive(peer.edges);
  archive(peer.lastSent);
  archive(peer.lastReceived);
  archive(peer.unansweredSince);
  archive(peer.unacknowledgedSince);
  archive(peer.sentBytes);
  archive(peer.receivedBytes);
}

void fieldsOf(auto& archive, Keypair& keypair) {
  archive(keypair.sendCounter);
  archive(keypair.rekeyTold);
  archive(keypair.dead);
  keypair.window.each(archive);
}

void fieldsOf(auto& archive, EspCounters& counters) {
  archive(counters.sequence);
  archive(counters.packets);
  archive(counters.bytes);
  archive(counters.blocks);
  archive(counters.lastUsed);
  countsOf(archive, counters.drops);
}

// Whether it is there, and its number.
void write(StateWriter& out, const Keypair* keypair) {
  out(keypair != nullptr);
  out(keypair == nullptr ? uint32_t{0} : keypair->localIndex);
}

void write(StateWriter& out, const Staging* staging) {
  out(static_cast<uint32_t>(staging == nullptr ? 0 : staging->size()));
  for (size_t i = 0; staging != nullptr && i < staging->size(); i++) {
    const Slice packet = const_cast<Staging*>(staging)->at(i);
    out(static_cast<uint32_t>(packet.length));
    out.raw(packet.bytes, packet.length);
  }
}

void write(StateWriter& out, const AllowedIpOwner& owner) {
  uint32_t count = 0;
  AllowedIps::each(&owner, [&](const Prefix&) { count++; });
  out(count);
  AllowedIps::each(&owner, [&](const Prefix& prefix) {
    out(prefix.address.high);
    out(prefix.address.low);
    out(prefix.address.v6);
    out(prefix.length);
  });
}

// Twice: to count, and to write.
std::unique_ptr<SecretBytes> written(auto&& write) {
  StateWriter counting;
  write(counting);
  auto result = std::make_unique<SecretBytes>(counting.size());
  StateWriter writing(result->data());
  write(writing);
  return result;
}

std::shared_ptr<UdpSockets> adoptUdp(uint16_t port, int v4, int v6) {
  auto sockets = std::make_shared<UdpSockets>();
  sockets->port = port;
  sockets->v4 = v4;
  sockets->v6 = v6;
  return sockets;
}

}  // namespace

std::unique_ptr<SecretBytes> LoopHandover::save(Loop& loop) {
  Drops& drops = loop.drops();
  return written([&](StateWriter& out) {
    out(loop.nextPeer_);
    out(loop.mark_);
    out(loop.port());
    countsOf(out, drops);
    out(static_cast<uint32_t>(loop.peers_.size()));
    for (const auto& [id, peer] : loop.peers_) {
      out(id);
      fieldsOf(out, *peer);
      write(out, peer->staging.get());
      write(out, *peer);
    }
    out(static_cast<uint32_t>(loop.keypairs_.size()));
    for (const auto& [index, keypair] : loop.keypairs_) {
      out(keypair->peer->id);
      out(index);
      out(keypair->remoteIndex);
      out(keypair->initiator);
      out(keypair->createdAt);
      out.raw(keypair->sendKey.bytes, kKeySize);
      out.raw(keypair->receiveKey.bytes, kKeySize);
      fieldsOf(out, *keypair);
    }
    out(static_cast<uint32_t>(loop.peers_.size()));
    for (const auto& [id, peer] : loop.peers_) {
      out(id);
      for (const auto* slot : {&peer->previous, &peer->current, &peer->next}) write(out, slot->load());
    }
  });
}

std::vector<int> LoopHandover::sockets(const Loop& loop) {
  if (!loop.sockets_) return {-1, -1};
  return {loop.sockets_->v4, loop.sockets_->v6};
}

bool LoopHandover::load(Loop& loop, const uint8_t* bytes, size_t size, const std::vector<int>& sockets) {
  StateReader in(bytes, size);
  in(loop.nextPeer_);
  in(loop.mark_);
  const auto port = in.get<uint16_t>();
  if (sockets.size() == 2 && (sockets[0] >= 0 || sockets[1] >= 0)) loop.sockets_ = adoptUdp(port, sockets[0], sockets[1]);
  countsOf(in, loop.drops_);
  in.each([&] {
    const auto id = in.get<uint32_t>();
    auto& peer = loop.peers_[id];
    if (peer) return in.refuse();
    peer = std::make_unique<Peer>(id);
    fieldsOf(in, *peer);
    in.each([&] {
      const auto length = in.get<uint32_t>();
      const uint8_t* packet = in.raw(length);
      if (!peer->staging) peer->staging = std::make_unique<Staging>(loop.stagedMemory_);
      if (packet != nullptr && length <= kMaxPacket) peer->staging->push(packet, length);
    });
    in.each([&] {
      Prefix prefix;
      in(prefix.address.high);
      in(prefix.address.low);
      in(prefix.address.v6);
      in(prefix.length);
      if (prefix.length > (prefix.address.v6 ? 128 : 32)) return in.refuse();
      loop.allowedIps_.insert(prefix, peer.get());
    });
    if (peer->requests != 0) loop.requests_.push_back(id);
    if (const uint32_t edges = peer->edges.exchange(0)) loop.outbox_.tell(*peer, static_cast<Edge>(edges));
  });
  in.each([&] {
    Peer* peer = loop.peer(in.get<uint32_t>());
    const auto local = in.get<uint32_t>();
    const auto remote = in.get<uint32_t>();
    const bool initiator = in.get<bool>();
    const auto createdAt = in.get<int64_t>();
    const uint8_t* sendKey = in.raw(kKeySize);
    const uint8_t* receiveKey = in.raw(kKeySize);
    if (peer == nullptr || receiveKey == nullptr) return in.refuse();
    if (loop.keypairs_.contains(local)) return in.refuse();
    auto keypair = std::make_unique<Keypair>(peer, local, remote, sendKey, receiveKey, initiator, createdAt);
    fieldsOf(in, *keypair);
    if (keypair->dead) loop.outbox_.tellReleased(local);
    loop.keypairs_[local] = std::move(keypair);
  });
  in.each([&] {
    Peer* peer = loop.peer(in.get<uint32_t>());
    if (peer == nullptr) return in.refuse();
    for (auto* slot : {&peer->previous, &peer->current, &peer->next}) {
      const bool there = in.get<bool>();
      Keypair* keypair = loop.keypair(in.get<uint32_t>());
      if (there && (keypair == nullptr || keypair->peer != peer)) return in.refuse();
      *slot = there ? keypair : nullptr;
    }
  });
  return in.whole();
}

std::unique_ptr<SecretBytes> EspLoopHandover::save(EspLoop& loop) {
  return written([&](StateWriter& out) {
    const EspSocketNeeds& needs = loop.sockets_->needs;
    out(needs.raw4);
    out(needs.raw6);
    out(static_cast<uint32_t>(needs.ports.size()));
    for (const uint16_t port : needs.ports) out(port);
    countsOf(out, loop.drops_);
    out(static_cast<uint32_t>(loop.stopped_.size()));
    for (const auto& [key, stopped] : loop.stopped_) {
      out(key);
      out(stopped);
    }
    out(static_cast<uint32_t>(loop.outbound_.size()));
    for (const auto& [state, sa] : loop.outbound_) {
      out(state);
      fieldsOf(out, sa->counters);
    }
    out(static_cast<uint32_t>(loop.inbound_.size()));
    for (const auto& [state, sa] : loop.inbound_) {
      out(state);
      out(sa->window());
      fieldsOf(out, sa->counters);
      sa->sequences().each(out);
    }
    out(static_cast<uint32_t>(loop.probes_.size()));
    for (const uint32_t state : loop.probes_) out(state);
  });
}

std::vector<int> EspLoopHandover::sockets(const EspLoop& loop) {
  const EspSockets& sockets = *loop.sockets_;
  std::vector<int> result = {sockets.raw4, sockets.raw6};
  for (const uint16_t port : sockets.needs.ports) {
    result.push_back(sockets.udpOf(port, false));
    result.push_back(sockets.udpOf(port, true));
  }
  return result;
}

bool EspLoopHandover::loadSockets(EspLoop& loop, const uint8_t* bytes, size_t size, const std::vector<int>& sockets) {
  StateReader in(bytes, size);
  auto adopted = std::make_shared<EspSockets>();
  in(adopted->needs.raw4);
  in(adopted->needs.raw6);
  in.each([&] { adopted->needs.ports.insert(in.get<uint16_t>()); });
  if (!in.good() || sockets.size() != 2 + 2 * adopted->needs.ports.size()) return false;
  adopted->raw4 = sockets[0];
  adopted->raw6 = sockets[1];
  size_t at = 2;
  for (const uint16_t port : adopted->needs.ports) {
    adopted->udp.push_back(adoptUdp(port, sockets[at], sockets[at + 1]));
    at += 2;
  }
  loop.sockets_ = std::move(adopted);
  return true;
}

bool EspLoopHandover::loadCounters(EspLoop& loop, const uint8_t* bytes, size_t size) {
  StateReader in(bytes, size);
  EspSocketNeeds needs;
  in(needs.raw4);
  in(needs.raw6);
  in.each([&] { in.get<uint16_t>(); });
  countsOf(in, loop.drops_);
  in.each([&] {
    std::string key;
    in(key);
    in(loop.stopped_[key]);
  });
  in.each([&] {
    OutboundSa* sa = loop.outbound(in.get<uint32_t>());
    if (sa == nullptr) return in.refuse();
    fieldsOf(in, sa->counters);
  });
  in.each([&] {
    InboundSa* sa = loop.inbound(in.get<uint32_t>());
    if (sa == nullptr || in.get<uint32_t>() != sa->window()) return in.refuse();
    fieldsOf(in, sa->counters);
    sa->sequences().each(in);
  });
  in.each([&] { loop.probes_.push_back(in.get<uint32_t>()); });
  return in.whole();
}

bool adoptTun(int fd, const std::string& name, Tun& tun) {
  ifreq request{};
  if (ioctl(fd, TUNGETIFF, &request) != 0 || name != request.ifr_name) return false;
  tun.fd = fd;
  tun.name = name;
  tun.index = if_nametoindex(request.ifr_name);
  return true;
}

}  // namespace pellicle
