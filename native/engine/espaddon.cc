// The ESP packet loop as a JavaScript class. src/engine/esp-native.ts has its types and tells what everything means.
#include "espaddon.h"

#include <cerrno>

#include "adopted.h"
#include "esploop.h"
#include "napihelp.h"
#include "netlink.h"

namespace pellicle {
namespace {

uint32_t idOf(const Napi::Value& state) { return state.As<Napi::Number>().Uint32Value(); }

Napi::Object dropsTo(Napi::Env env, const EspDrops& drops) {
  Napi::Object result = Napi::Object::New(env);
  for (size_t i = 0; i < static_cast<size_t>(EspDrop::kCount); i++) {
    if (const uint64_t count = drops.of(i)) result.Set(kEspDropNames[i], static_cast<double>(count));
  }
  return result;
}

EspChange readChange(const Napi::Object& from) {
  EspChange change;
  const auto each = [&](const char* name, auto visit) {
    const auto list = from.Get(name).As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); i++) visit(list.Get(i));
  };
  each("removed", [&](Napi::Value value) { change.removed.push_back(idOf(value)); });
  each("outbound", [&](Napi::Value value) {
    const auto state = value.As<Napi::Object>();
    change.outbound.emplace_back(idOf(state.Get("id")), readOutbound(state));
  });
  each("inbound", [&](Napi::Value value) {
    const auto state = value.As<Napi::Object>();
    change.inbound.emplace_back(idOf(state.Get("id")), readInbound(state));
  });
  each("updated", [&](Napi::Value value) {
    const auto state = value.As<Napi::Object>();
    change.updates.push_back({idOf(state.Get("id")), readEspLimits(state), readPrefixes(state.Get("sources"))});
  });
  each("policies", [&](Napi::Value value) {
    const auto policy = value.As<Napi::Object>();
    for (const Prefix& prefix : readPrefixes(policy.Get("destinations"))) {
      change.policies.push_back({prefix, idOf(policy.Get("state"))});
    }
  });
  const Napi::Value local = from.Get("local");
  change.setsLocal = local.IsTypedArray();
  if (change.setsLocal) change.local = readPrefixes(local);
  return change;
}

class EspLoopObject : public Napi::ObjectWrap<EspLoopObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "EspLoop",
                       {
                           InstanceMethod<&EspLoopObject::close>("close"),
                           InstanceMethod<&EspLoopObject::start>("start"),
                           InstanceMethod<&EspLoopObject::stop>("stop"),
                           InstanceMethod<&EspLoopObject::save>("save"),
                           InstanceMethod<&EspLoopObject::load>("load"),
                           InstanceMethod<&EspLoopObject::device>("device"),
                           InstanceMethod<&EspLoopObject::now>("now"),
                           InstanceMethod<&EspLoopObject::apply>("apply"),
                           InstanceMethod<&EspLoopObject::probe>("probe"),
                           InstanceMethod<&EspLoopObject::counters>("counters"),
                           InstanceMethod<&EspLoopObject::drops>("drops"),
                       });
  }

  explicit EspLoopObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EspLoopObject>(info) {
    const Napi::Env env = info.Env();
    const auto options = info[0].As<Napi::Object>();
    const Tun tun = readTun(env, options);
    wake_ = Napi::ThreadSafeFunction::New(env, info[1].As<Napi::Function>(), "ESP loop", 0, 1);
    const uint32_t mark = options.Get("mark").As<Napi::Number>();
    const Adopted adopted(options);
    loop_ = std::make_unique<EspLoop>(tun, mark, [this] { wake_.NonBlockingCall(); }, !adopted);
    if (!adopted || EspLoopHandover::loadSockets(*loop_, adopted.state.Data(), adopted.state.ByteLength(), adopted.sockets)) {
      return;
    }
    shut();
    fail(env, EINVAL, "the state of the packet loop for ESP is not whole");
  }

  void Finalize(Napi::BasicEnv) override { shut(); }

 private:
  EspLoop& loop(const Napi::CallbackInfo& info) {
    if (!loop_) fail(info.Env(), EBADF, "the packet loop is closed");
    return *loop_;
  }

  void shut() {
    if (!loop_) return;
    loop_.reset();
    wake_.Release();
  }

  void close(const Napi::CallbackInfo&) { shut(); }
  void start(const Napi::CallbackInfo& info) { loop(info).start(); }
  void stop(const Napi::CallbackInfo& info) { loop(info).stop(); }
  Napi::Value save(const Napi::CallbackInfo& info) {
    EspLoop& stopped = loop(info);
    stopped.stop();
    return savedLoop(info.Env(), stopped.tun(), EspLoopHandover::sockets(stopped), *EspLoopHandover::save(stopped));
  }
  void load(const Napi::CallbackInfo& info) {
    const auto state = info[0].As<Napi::Uint8Array>();
    if (EspLoopHandover::loadCounters(loop(info), state.Data(), state.ByteLength())) return;
    fail(info.Env(), EINVAL, "the state of the packet loop for ESP is not whole");
  }

  Napi::Value device(const Napi::CallbackInfo& info) {
    const Tun& tun = loop(info).tun();
    LinkState link;
    const bool there = queryLink(tun.index, link);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("name", tun.name);
    result.Set("up", there && link.up);
    result.Set("mtu", link.mtu);
    result.Set("gone", !there || loop_->gone());
    return result;
  }

  Napi::Value now(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(loop(info).clock().now()));
  }

  void apply(const Napi::CallbackInfo& info) {
    EspLoop& into = loop(info);
    EspChange change = readChange(info[0].As<Napi::Object>());
    std::string problem;
    const int code = into.apply(change, problem);
    if (code != 0) fail(info.Env(), code, problem + ": " + strerror(code));
  }

  Napi::Value probe(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), loop(info).probe(idOf(info[0])));
  }

  Napi::Value counters(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const OutboundSa* outbound = loop(info).outbound(idOf(info[0]));
    const InboundSa* inbound = loop_->inbound(idOf(info[0]));
    if (outbound == nullptr && inbound == nullptr) return env.Undefined();
    const EspCounters& counters = outbound != nullptr ? outbound->counters : inbound->counters;
    Napi::Object result = Napi::Object::New(env);
    result.Set("sequence", Napi::BigInt::New(env, counters.sequence.load()));
    result.Set("blocks", Napi::BigInt::New(env, counters.blocks.load()));
    result.Set("packets", static_cast<double>(counters.packets.load()));
    result.Set("bytes", static_cast<double>(counters.bytes.load()));
    result.Set("lastUsed", static_cast<double>(counters.lastUsed.load()));
    result.Set("due", outbound != nullptr && outbound->due());
    result.Set("expired", outbound != nullptr && outbound->expired());
    result.Set("drops", dropsTo(env, counters.drops));
    return result;
  }

  Napi::Value drops(const Napi::CallbackInfo& info) { return dropsTo(info.Env(), loop(info).drops()); }

  Napi::ThreadSafeFunction wake_;
  std::unique_ptr<EspLoop> loop_;
};

}  // namespace

Napi::Function defineEspLoop(Napi::Env env) { return EspLoopObject::define(env); }

}  // namespace pellicle
