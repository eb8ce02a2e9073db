// The packet loop as a JavaScript class. src/engine/native.ts has its types and tells what everything means.
#include <napi.h>

#include <cerrno>

#include "adopted.h"
#include "espaddon.h"
#include "inspect.h"
#include "loop.h"
#include "x25519.h"
#include "napihelp.h"

namespace pellicle {
namespace {

uint32_t number(const Napi::CallbackInfo& info, size_t index) { return info[index].As<Napi::Number>().Uint32Value(); }

bool readEndpoint(const Napi::Value& value, Endpoint& endpoint) {
  const auto object = value.As<Napi::Object>();
  const std::string address = object.Get("address").As<Napi::String>();
  const auto port = static_cast<uint16_t>(object.Get("port").As<Napi::Number>().Uint32Value());
  if (!endpoint.parse(address, port)) return false;
  const Napi::Value source = object.Get("source");
  if (source.IsString()) {
    endpoint.parseSource(source.As<Napi::String>(), object.Get("sourceInterface").As<Napi::Number>().Uint32Value());
  }
  return true;
}

Napi::Object endpointTo(Napi::Env env, const Endpoint& endpoint) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("address", endpoint.address());
  object.Set("port", endpoint.port());
  if (endpoint.hasSource()) {
    object.Set("source", endpoint.sourceAddress());
    object.Set("sourceInterface", endpoint.sourceInterface);
  }
  return object;
}

class PacketLoop : public Napi::ObjectWrap<PacketLoop> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "PacketLoop",
                       {
                           InstanceMethod<&PacketLoop::close>("close"),
                           InstanceMethod<&PacketLoop::start>("start"),
                           InstanceMethod<&PacketLoop::stop>("stop"),
                           InstanceMethod<&PacketLoop::save>("save"),
                           InstanceMethod<&PacketLoop::device>("device"),
                           InstanceMethod<&PacketLoop::now>("now"),
                           InstanceMethod<&PacketLoop::link>("link"),
                           InstanceMethod<&PacketLoop::bind>("bind"),
                           InstanceMethod<&PacketLoop::unbind>("unbind"),
                           InstanceMethod<&PacketLoop::setMark>("setMark"),
                           InstanceMethod<&PacketLoop::setMac1Key>("setMac1Key"),
                           InstanceMethod<&PacketLoop::transmit>("transmit"),
                           InstanceMethod<&PacketLoop::isEndpoint>("isEndpoint"),
                           InstanceMethod<&PacketLoop::addPeer>("addPeer"),
                           InstanceMethod<&PacketLoop::removePeer>("removePeer"),
                           InstanceMethod<&PacketLoop::setEndpoint>("setEndpoint"),
                           InstanceMethod<&PacketLoop::takeRoamed>("takeRoamed"),
                           InstanceMethod<&PacketLoop::changeAllowedIps>("changeAllowedIps"),
                           InstanceMethod<&PacketLoop::allowedIps>("allowedIps"),
                           InstanceMethod<&PacketLoop::installKeypair>("installKeypair"),
                           InstanceMethod<&PacketLoop::retire>("retire"),
                           InstanceMethod<&PacketLoop::request>("request"),
                           InstanceMethod<&PacketLoop::watch>("watch"),
                           InstanceMethod<&PacketLoop::readActivity>("readActivity"),
                           InstanceMethod<&PacketLoop::takeEdges>("takeEdges"),
                           InstanceMethod<&PacketLoop::takeReleased>("takeReleased"),
                           InstanceMethod<&PacketLoop::takeHandshake>("takeHandshake"),
                           InstanceMethod<&PacketLoop::queuedHandshakes>("queuedHandshakes"),
                           InstanceMethod<&PacketLoop::drops>("drops"),
                       });
  }

  explicit PacketLoop(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PacketLoop>(info) {
    const Napi::Env env = info.Env();
    const auto options = info[0].As<Napi::Object>();
    LoopOptions limits;
    if (options.Has("clockSpeed")) limits.clockSpeed = options.Get("clockSpeed").As<Napi::Number>();
    readLimit(options, "rekeyAfterMessages", limits.rekeyAfterMessages);
    readLimit(options, "rejectAfterMessages", limits.rejectAfterMessages);
    const Tun tun = readTun(env, options);
    wake_ = Napi::ThreadSafeFunction::New(env, info[1].As<Napi::Function>(), "packet loop", 0, 1);
    const Adopted adopted(options);
    loop_ = std::make_unique<Loop>(tun, limits, [this] { wake_.NonBlockingCall(); }, !adopted);
    if (!adopted || LoopHandover::load(*loop_, adopted.state.Data(), adopted.state.ByteLength(), adopted.sockets)) return;
    shut();
    fail(env, EINVAL, "the state of the packet loop is not whole");
  }

  void Finalize(Napi::BasicEnv) override { shut(); }

 private:
  static void readLimit(const Napi::Object& options, const char* name, uint64_t& limit) {
    bool lossless;
    if (options.Has(name)) limit = options.Get(name).As<Napi::BigInt>().Uint64Value(&lossless);
  }

  Loop& loop(const Napi::CallbackInfo& info) {
    if (!loop_) fail(info.Env(), EBADF, "the packet loop is closed");
    return *loop_;
  }

  Peer& peer(const Napi::CallbackInfo& info) {
    Peer* found = loop(info).peer(number(info, 0));
    if (found == nullptr) fail(info.Env(), ENOENT, "the packet loop has no such peer");
    return *found;
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
    Loop& stopped = loop(info);
    stopped.stop();
    return savedLoop(info.Env(), stopped.tun(), LoopHandover::sockets(stopped), *LoopHandover::save(stopped));
  }

  Napi::Value device(const Napi::CallbackInfo& info) {
    const Tun& tun = loop(info).tun();
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("name", tun.name);
    result.Set("index", tun.index);
    result.Set("created", tun.created);
    result.Set("offloads", tun.offloads);
    return result;
  }

  Napi::Value now(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(loop(info).clock().now()));
  }

  Napi::Value link(const Napi::CallbackInfo& info) {
    Outbox& outbox = loop(info).outbox();
    outbox.takeLinkChanged();
    const LinkState state = loop_->link();
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("up", state.up);
    result.Set("mtu", state.mtu);
    result.Set("gone", outbox.gone());
    return result;
  }

  Napi::Value bind(const Napi::CallbackInfo& info) {
    if (const int code = loop(info).bind(static_cast<uint16_t>(number(info, 0)))) {
      fail(info.Env(), code, std::string("bind: ") + strerror(code));
    }
    return Napi::Number::New(info.Env(), loop_->port());
  }

  void unbind(const Napi::CallbackInfo& info) { loop(info).unbind(); }
  void setMark(const Napi::CallbackInfo& info) { loop(info).setMark(number(info, 0)); }
  void setMac1Key(const Napi::CallbackInfo& info) {
    std::optional<Mac1::Key> key;
    if (!info[0].IsUndefined()) {
      const auto bytes = info[0].As<Napi::Uint8Array>();
      if (bytes.ByteLength() != kMac1KeySize) fail(info.Env(), EINVAL, "the key of mac1 has 32 bytes");
      std::memcpy(key.emplace().data(), bytes.Data(), kMac1KeySize);
    }
    loop(info).setMac1Key(key);
  }

  Napi::Value transmit(const Napi::CallbackInfo& info) {
    Endpoint to;
    const auto bytes = info[1].As<Napi::Uint8Array>();
    const bool known = readEndpoint(info[0], to);
    const int code = known ? loop(info).transmit(to, bytes.Data(), bytes.ByteLength()) : EINVAL;
    if (code == 0) return info.Env().Undefined();
    const char* name = strerrorname_np(code);
    return Napi::String::New(info.Env(), name ? name : "EIO");
  }

  Napi::Value isEndpoint(const Napi::CallbackInfo& info) {
    Endpoint endpoint;
    return Napi::Boolean::New(info.Env(), readEndpoint(info[0], endpoint));
  }

  Napi::Value addPeer(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), loop(info).addPeer()->id);
  }

  void removePeer(const Napi::CallbackInfo& info) { loop(info).removePeer(number(info, 0)); }

  void setEndpoint(const Napi::CallbackInfo& info) {
    Endpoint endpoint;
    Peer& which = peer(info);
    if (!readEndpoint(info[1], endpoint)) fail(info.Env(), EINVAL, "not an IP address, or its scope is no interface");
    loop_->setEndpoint(which, endpoint);
  }

  Napi::Value takeRoamed(const Napi::CallbackInfo& info) {
    Peer& which = peer(info);
    Endpoint endpoint;
    return loop_->takeRoamed(which, endpoint) ? endpointTo(info.Env(), endpoint) : info.Env().Undefined();
  }

  void changeAllowedIps(const Napi::CallbackInfo& info) {
    Peer& which = peer(info);
    const auto bytes = info[1].As<Napi::Uint8Array>();
    std::vector<Loop::AllowedIpChange> changes(bytes.ByteLength() / kEntry);
    for (size_t i = 0; i < changes.size(); i++) {
      const uint8_t* entry = bytes.Data() + i * kEntry;
      changes[i].prefix = prefixOf(entry);
      changes[i].remove = entry[2] != 0;
    }
    loop_->changeAllowedIps(which, changes, info[2].As<Napi::Boolean>());
  }

  Napi::Value allowedIps(const Napi::CallbackInfo& info) {
    std::vector<uint8_t> bytes;
    AllowedIps::each(&peer(info), [&](const Prefix& prefix) {
      uint8_t entry[kEntry] = {static_cast<uint8_t>(prefix.address.v6 ? 6 : 4), prefix.length};
      store(entry + 4, __builtin_bswap64(prefix.address.high));
      store(entry + 12, __builtin_bswap64(prefix.address.low));
      bytes.insert(bytes.end(), entry, entry + kEntry);
    });
    return Napi::Buffer<uint8_t>::Copy(info.Env(), bytes.data(), bytes.size());
  }

  void installKeypair(const Napi::CallbackInfo& info) {
    Peer& which = peer(info);
    const auto keypair = info[1].As<Napi::Object>();
    const auto sendKey = keypair.Get("sendKey").As<Napi::Uint8Array>();
    const auto receiveKey = keypair.Get("receiveKey").As<Napi::Uint8Array>();
    if (sendKey.ByteLength() != kKeySize || receiveKey.ByteLength() != kKeySize) {
      fail(info.Env(), EINVAL, "a key has 32 bytes");
    }
    loop_->installKeypair(std::make_unique<Keypair>(
        &which, keypair.Get("localIndex").As<Napi::Number>().Uint32Value(),
        keypair.Get("remoteIndex").As<Napi::Number>().Uint32Value(), sendKey.Data(), receiveKey.Data(),
        keypair.Get("initiator").As<Napi::Boolean>(), keypair.Get("createdAt").As<Napi::Number>().Int64Value()));
  }

  void retire(const Napi::CallbackInfo& info) { loop(info).retire(number(info, 0)); }
  void request(const Napi::CallbackInfo& info) {
    loop(info).request(peer(info), static_cast<Request>(number(info, 1)));
  }
  void watch(const Napi::CallbackInfo& info) {
    loop(info).watch(peer(info), static_cast<Edge>(number(info, 1)), info[2].As<Napi::Number>().Int64Value());
  }

  void readActivity(const Napi::CallbackInfo& info) {
    const Peer& which = peer(info);
    auto out = info[1].As<Napi::Float64Array>();
    out[0] = static_cast<double>(which.lastSent.load());
    out[1] = static_cast<double>(which.lastReceived.load());
    out[2] = static_cast<double>(which.unansweredSince.load());
    out[3] = static_cast<double>(which.unacknowledgedSince.load());
    out[4] = static_cast<double>(which.sentBytes.load());
    out[5] = static_cast<double>(which.receivedBytes.load());
  }

  Napi::Value takeEdges(const Napi::CallbackInfo& info) {
    loop(info).outbox().awake();
    Napi::Array result = Napi::Array::New(info.Env());
    uint32_t at = 0;
    for (const uint32_t id : loop_->outbox().takePeers()) {
      Peer* which = loop_->peer(id);
      if (which == nullptr) continue;
      result.Set(at++, id);
      result.Set(at++, which->edges.exchange(0));
    }
    return result;
  }

  Napi::Value takeReleased(const Napi::CallbackInfo& info) {
    Napi::Array result = Napi::Array::New(info.Env());
    uint32_t at = 0;
    for (const uint32_t localIndex : loop(info).takeReleased()) result.Set(at++, localIndex);
    return result;
  }

  Napi::Value takeHandshake(const Napi::CallbackInfo& info) {
    Handshake handshake;
    if (!loop(info).outbox().takeHandshake(handshake)) return info.Env().Undefined();
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("bytes", Napi::Buffer<uint8_t>::Copy(info.Env(), handshake.bytes, handshake.length));
    result.Set("from", endpointTo(info.Env(), handshake.from));
    return result;
  }

  Napi::Value queuedHandshakes(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(loop(info).outbox().queuedHandshakes()));
  }

  Napi::Value drops(const Napi::CallbackInfo& info) {
    const Drops& drops = loop(info).drops();
    Napi::Object result = Napi::Object::New(info.Env());
    for (size_t i = 0; i < static_cast<size_t>(Drop::kCount); i++) {
      result.Set(kDropNames[i], static_cast<double>(drops.of(i)));
    }
    return result;
  }

  Napi::ThreadSafeFunction wake_;
  std::unique_ptr<Loop> loop_;
};

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  for (const char* problem : {cryptoProblem(), mac1Problem()}) {
    if (problem != nullptr) throw Napi::Error::New(env, problem);
  }
  exports.Set("PacketLoop", PacketLoop::define(env));
  exports.Set("EspLoop", defineEspLoop(env));
  defineInspection(env, exports);
  defineKeyPair(env, exports);
  defineEspInspection(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(engine, initialize)

}  // namespace pellicle
