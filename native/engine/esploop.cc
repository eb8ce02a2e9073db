#include "esploop.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <shared_mutex>
#include <unordered_set>
#include <utility>

#include "espreceive.h"
#include "espsend.h"
#include "threads.h"

namespace pellicle {
namespace {

void need(EspSocketNeeds& needs, const EspParameters& parameters, uint16_t port) {
  if (port != 0) needs.ports.insert(port);
  else (parameters.id.family == 4 ? needs.raw4 : needs.raw6) = true;
}

void need(EspSocketNeeds& needs, const OutboundSa& sa) {
  need(needs, sa.parameters, sa.parameters.encapsulation.sourcePort);
}

void need(EspSocketNeeds& needs, const InboundSa& sa) {
  need(needs, sa.parameters, sa.parameters.encapsulation.destinationPort);
}

}  // namespace

EspLoop::EspLoop(Tun tun, uint32_t mark, std::function<void()> wake, bool starts)
    : tun_(std::move(tun)), mark_(mark), wake_(std::move(wake)), sockets_(std::make_shared<EspSockets>()) {
  if (starts) start();
}

EspLoop::~EspLoop() {
  stop();
  close(tun_.fd);
}

void EspLoop::start() {
  if (sender_.joinable()) return;
  stopping_ = false;
  sending_ = std::make_unique<EspSender>(*this);
  sender_ = startThread("esp-send", [this] { sending_->run(); });
  receiver_ = startThread("esp-receive", [this] { EspReceiver(*this).run(); });
  // What was asked for meanwhile.
  sendSignal_.raise();
}

void EspLoop::stop() {
  if (!sender_.joinable()) return;
  stopping_ = true;
  sendSignal_.raise();
  receiveSignal_.raise();
  sender_.join();
  receiver_.join();
  sending_.reset();
}

OutboundSa* EspLoop::outbound(uint32_t state) const {
  const auto found = outbound_.find(state);
  return found == outbound_.end() ? nullptr : found->second.get();
}

InboundSa* EspLoop::inbound(uint32_t state) const {
  const auto found = inbound_.find(state);
  return found == inbound_.end() ? nullptr : found->second.get();
}

std::shared_ptr<EspSockets> EspLoop::sockets() {
  const std::shared_lock lock(state_);
  return sockets_;
}

bool EspLoop::probe(uint32_t state) {
  if (outbound(state) == nullptr) return false;
  {
    const std::lock_guard lock(probesMutex_);
    probes_.push_back(state);
  }
  sendSignal_.raise();
  return true;
}

int EspLoop::apply(EspChange& change, std::string& problem) {
  const std::unordered_set<uint32_t> removed(change.removed.begin(), change.removed.end());
  const auto goes = [&](uint32_t state) { return removed.contains(state); };
  EspSocketNeeds needs;
  for (const auto& [state, sa] : outbound_) if (!goes(state)) need(needs, *sa);
  for (const auto& [state, sa] : inbound_) if (!goes(state)) need(needs, *sa);
  for (const auto& [state, sa] : change.outbound) need(needs, *sa);
  for (const auto& [state, sa] : change.inbound) need(needs, *sa);
  std::shared_ptr<EspSockets> sockets = sockets_;
  if (!(needs == sockets_->needs)) {
    int error = 0;
    sockets = openEspSockets(needs, mark_, sockets_.get(), error, problem);
    if (!sockets) return error;
  }
  const bool replaced = sockets != sockets_;
  {
    const std::lock_guard lock(state_);
    commit(change);
    sockets_.swap(sockets);
  }
  if (replaced) receiveSignal_.raise();
  return 0;
}

// A key that was never used may start anew.
void EspLoop::remember(const std::string& keyName, const Stopped& stopped) {
  if (stopped.sequence > 0) stopped_[keyName] = stopped;
}

void EspLoop::commit(EspChange& change) {
  for (const uint32_t state : change.removed) {
    if (OutboundSa* sa = outbound(state)) {
      remember(sa->parameters.keyName, {sa->counters.sequence.load(), sa->counters.blocks.load()});
      policies_.removeAll(sa);
      outbound_.erase(state);
    } else if (InboundSa* opener = inbound(state)) {
      remember(opener->parameters.keyName, {opener->counters.sequence.load(), 0});
      byId_.erase(opener->parameters.id);
      inbound_.erase(state);
    }
  }
  for (auto& [state, sa] : change.outbound) {
    const auto before = stopped_.find(sa->parameters.keyName);
    if (before != stopped_.end()) {
      sa->counters.sequence = std::max(sa->counters.sequence.load(), before->second.sequence);
      sa->counters.blocks = std::max(sa->counters.blocks.load(), before->second.blocks);
    }
    outbound_[state] = std::move(sa);
  }
  for (auto& [state, sa] : change.inbound) {
    const auto before = stopped_.find(sa->parameters.keyName);
    if (before != stopped_.end()) sa->goOnFrom(before->second.sequence);
    byId_[sa->parameters.id] = sa.get();
    inbound_[state] = std::move(sa);
  }
  for (EspChange::Update& update : change.updates) {
    if (OutboundSa* sa = outbound(update.state)) sa->limits = update.limits;
    if (InboundSa* sa = inbound(update.state)) sa->sources = std::move(update.sources);
  }
  for (const EspChange::Policy& policy : change.policies) {
    if (OutboundSa* sa = outbound(policy.state)) policies_.insert(policy.destinations, sa);
    else policies_.remove(policy.destinations);
  }
  if (change.setsLocal) local_ = std::move(change.local);
}

}  // namespace pellicle
