#include "loop.h"

#include <poll.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "receive.h"
#include "send.h"

namespace pellicle {
namespace {

// How many allowed IPs change under one exclusive lock: traffic waits for no more than that.
constexpr size_t kAllowedIpsAtOnce = 1024;

// How long a receiving thread may take to let go of sockets, and how often one looks.
constexpr std::chrono::seconds kSocketsPatience{1};
constexpr std::chrono::microseconds kSocketsPause{50};

}  // namespace

Loop::Loop(Tun tun, LoopOptions options, std::function<void()> wake, bool starts)
    : tun_(std::move(tun)),
      options_(options),
      clock_(options.clockSpeed),
      outbox_(std::move(wake)),
      linkWatch_(tun_) {
  linkUp_ = linkWatch_.state().up;
  mtu_ = linkWatch_.state().mtu;
  if (starts) start();
}

Loop::~Loop() {
  stop();
  close(tun_.fd);
}

void Loop::start() {
  if (sender_.joinable()) return;
  stopping_ = false;
  // Sockets that were another process's have its filter.
  if (sockets_) filter(*sockets_);
  sending_ = std::make_unique<Sender>(*this);
  sender_ = startThread("wg-send", [this] { sending_->run(); });
  receivers_[0] = startThread("wg-receive4", [this] { Receiver(*this, false).run(); });
  receivers_[1] = startThread("wg-receive6", [this] { Receiver(*this, true).run(); });
  watcher_ = startThread("wg-link", [this] { watchLink(); });
  // What was asked for meanwhile.
  sendSignal_.raise();
}

void Loop::stop() {
  if (!sender_.joinable()) return;
  stopping_ = true;
  sendSignal_.raise();
  for (Signal& signal : receiveSignals_) signal.raise();
  watchSignal_.raise();
  sender_.join();
  for (std::thread& receiver : receivers_) receiver.join();
  watcher_.join();
  sending_.reset();
}

int Loop::bind(uint16_t port) {
  if (sockets_ && port != 0 && sockets_->port == port) return 0;
  int error = 0;
  auto opened = openUdp(port, mark_.load(), error);
  if (!opened) return error;
  filter(*opened);
  replaceSockets(std::move(opened));
  return 0;
}

void Loop::filter(const UdpSockets& sockets) const {
  filter_.attach(sockets.v4);
  filter_.attach(sockets.v6);
}

void Loop::unbind() { replaceSockets(nullptr); }

void Loop::replaceSockets(std::shared_ptr<UdpSockets> sockets) {
  {
    const std::lock_guard lock(state_);
    sockets_.swap(sockets);
  }
  if (sockets && sockets_) tellPort();
  for (Signal& signal : receiveSignals_) signal.raise();
  // The old port is free when it is said to be: whoever asked may want it for another device.
  const auto end = std::chrono::steady_clock::now() + kSocketsPatience;
  while (sockets.use_count() > 1 && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(kSocketsPause);
}

// Whoever only sends to us would go on to the old port until we have something to say.
void Loop::tellPort() {
  const int64_t now = clock_.now();
  for (const auto& [id, peer] : peers_) {
    const Keypair* keypair = peer->current.load(std::memory_order_acquire);
    if (keypair != nullptr && usable(*keypair, now)) request(*peer, kKeepaliveRequest);
  }
}

std::shared_ptr<UdpSockets> Loop::sockets() {
  const std::shared_lock lock(state_);
  return sockets_;
}

void Loop::setMark(uint32_t mark) {
  if (mark_.exchange(mark) == mark) return;
  if (sockets_) sockets_->setMark(mark);
  // The way to a peer may be another one now, and with it our address.
  for (const auto& [id, peer] : peers_) forgetSource(*peer, endpoint(*peer));
}

void Loop::setMac1Key(const std::optional<Mac1::Key>& key) {
  const std::lock_guard lock(state_);
  mac1_.setKey(key);
}

int Loop::transmit(const Endpoint& to, const uint8_t* bytes, size_t length) {
  if (!sockets_ || sockets_->of(to) < 0) return sockets_ ? EAFNOSUPPORT : ENOTCONN;
  if (length > kCookieReplySize) ownIndexes_.note(load<uint32_t>(bytes + 4));
  bool sourceFailed = false;
  return sendTrain(sockets_->of(to), to, bytes, length, length, MSG_DONTWAIT, sourceFailed);
}

Peer* Loop::addPeer() {
  auto added = std::make_unique<Peer>(nextPeer_++);
  Peer* result = added.get();
  const std::lock_guard lock(state_);
  peers_.emplace(result->id, std::move(added));
  return result;
}

Peer* Loop::peer(uint32_t id) const {
  const auto found = peers_.find(id);
  return found == peers_.end() ? nullptr : found->second.get();
}

void Loop::removePeer(uint32_t id) {
  Peer* going = peer(id);
  if (going == nullptr) return;
  const std::lock_guard lock(state_);
  allowedIps_.removeAll(going);
  std::erase_if(keypairs_, [&](const auto& entry) { return entry.second->peer == going; });
  peers_.erase(id);
}

void Loop::setEndpoint(Peer& peer, const Endpoint& endpoint) {
  const std::lock_guard lock(peer.place);
  peer.endpoint = endpoint;
  peer.roamed = false;
}

Endpoint Loop::endpoint(Peer& peer) {
  const std::lock_guard lock(peer.place);
  return peer.endpoint;
}

bool Loop::takeRoamed(Peer& peer, Endpoint& endpoint) {
  const std::lock_guard lock(peer.place);
  endpoint = peer.endpoint;
  return std::exchange(peer.roamed, false);
}

void Loop::forgetSource(Peer& peer, const Endpoint& of) {
  const std::lock_guard lock(peer.place);
  if (!(peer.endpoint == of)) return;
  peer.endpoint.clearSource();
  peer.roamed = true;
}

void Loop::changeAllowedIps(Peer& peer, const std::vector<AllowedIpChange>& changes, bool replace) {
  const uint64_t mark = ++allowedIpsMark_;
  for (size_t at = 0; at < changes.size();) {
    const std::lock_guard lock(state_);
    for (const size_t end = std::min(changes.size(), at + kAllowedIpsAtOnce); at < end; at++) {
      if (changes[at].remove) {
        allowedIps_.remove(changes[at].prefix, &peer);
      } else {
        allowedIps_.insert(changes[at].prefix, &peer, mark);
      }
    }
  }
  for (bool done = !replace; !done;) {
    const std::lock_guard lock(state_);
    done = allowedIps_.removeOthers(&peer, mark, kAllowedIpsAtOnce);
  }
}

void Loop::installKeypair(std::unique_ptr<Keypair> keypair) {
  Keypair* added = keypair.get();
  Peer& peer = *added->peer;
  {
    const std::lock_guard lock(state_);
    keypairs_[added->localIndex] = std::move(keypair);
    Keypair* next = peer.next.load();
    Keypair* current = peer.current.load();
    letGo(peer.previous.exchange(nullptr));
    if (added->initiator) {
      // A responder's keypair that was never confirmed may still be what the peer sends with: that one stays.
      peer.previous = next != nullptr ? next : current;
      if (next != nullptr) letGo(current);
      peer.next = nullptr;
      peer.current = added;
    } else {
      letGo(next);
      peer.next = added;
    }
  }
  peer.unansweredSince = 0;
  peer.unacknowledgedSince = 0;
  peer.armed.fetch_or(kStagedEdge);
  if (added->initiator) request(peer, kFlushRequest);
}

// Under the exclusive lock, or the shared one and the peer's slots.
void Loop::letGo(Keypair* keypair) {
  if (keypair == nullptr) return;
  keypair->dead = true;
  outbox_.tellReleased(keypair->localIndex);
}

void Loop::retire(uint32_t localIndex) {
  const std::lock_guard lock(state_);
  const auto found = keypairs_.find(localIndex);
  if (found == keypairs_.end()) return;
  Keypair* keypair = found->second.get();
  for (std::atomic<Keypair*>* slot : {&keypair->peer->previous, &keypair->peer->current, &keypair->peer->next}) {
    if (slot->load() == keypair) slot->store(nullptr);
  }
  keypairs_.erase(found);
}

std::vector<uint32_t> Loop::takeReleased() {
  std::vector<uint32_t> released = outbox_.takeReleased();
  if (released.empty()) return released;
  const std::lock_guard lock(state_);
  std::erase_if(released, [&](uint32_t localIndex) {
    const auto found = keypairs_.find(localIndex);
    // It was retired meanwhile, and its index may belong to another by now.
    if (found == keypairs_.end() || !found->second->dead) return true;
    keypairs_.erase(found);
    return false;
  });
  return released;
}

void Loop::request(Peer& peer, Request request) {
  if (peer.requests.fetch_or(request) == 0) {
    const std::lock_guard lock(requestsMutex_);
    requests_.push_back(peer.id);
  }
  sendSignal_.raise();
}

void Loop::watch(Peer& peer, Edge edge, int64_t after) {
  peer.armed.fetch_or(edge);
  if (edge == kStagedEdge) return;
  const auto& since = edge == kDataSentEdge ? peer.unansweredSince : peer.unacknowledgedSince;
  const int64_t began = since.load();
  if (began != 0 && began >= after) tellIfArmed(peer, edge);
}

void Loop::watchLink() {
  // They may have changed while nobody watched, between an engine and the one that took over from it.
  checkSources();
  while (!stopping_) {
    pollfd waiting[] = {{watchSignal_.fd(), POLLIN, 0}, {linkWatch_.linkFd(), POLLIN, 0}, {linkWatch_.routeFd(), POLLIN, 0}};
    const int ready = poll(waiting, 3, linkWatch_.patience());
    if (stopping_) return;
    const LinkWatch::News news = ready == 0 ? linkWatch_.lookAgain() : linkWatch_.read();
    if (news.link) {
      linkUp_ = linkWatch_.state().up;
      mtu_ = linkWatch_.state().mtu;
      outbox_.tellLink(news.gone);
    }
    if (news.routes) checkSources();
  }
}

// A peer is answered from the address that it wrote to, unless the way there leaves by another interface now. The kernel is
// asked without the lock: for thousands of peers that takes so long that packets would wait for it.
void Loop::checkSources() {
  std::vector<std::pair<uint32_t, Endpoint>> answered;
  {
    const std::shared_lock lock(state_);
    for (const auto& [id, peer] : peers_) {
      const Endpoint endpoint = this->endpoint(*peer);
      if (endpoint.hasSource()) answered.emplace_back(id, endpoint);
    }
  }
  for (const auto& [id, endpoint] : answered) {
    if (stopping_) return;
    if (routeInterface(endpoint, mark_.load()) == endpoint.sourceInterface) continue;
    const std::shared_lock lock(state_);
    if (Peer* peer = this->peer(id)) forgetSource(*peer, endpoint);
  }
}

}  // namespace pellicle
