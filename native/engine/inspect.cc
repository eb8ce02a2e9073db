#include "inspect.h"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <vector>

#include "aead.h"
#include "allowedips.h"
#include "coalesce.h"
#include "peer.h"
#include "replay.h"
#include "segment.h"

namespace pellicle {
namespace {

using Bytes = Napi::Buffer<uint8_t>;

// split(offload header and packet): the packets, or undefined when the header does not fit.
Napi::Value split(const Napi::CallbackInfo& info) {
  const auto input = info[0].As<Napi::Uint8Array>();
  Offload offload;
  if (input.ByteLength() <= sizeof offload) return info.Env().Undefined();
  std::memcpy(&offload, input.Data(), sizeof offload);
  std::vector<uint8_t> packet(input.Data() + sizeof offload, input.Data() + input.ByteLength());
  Segments segments(offload, packet.data(), packet.size());
  if (!segments.valid()) return info.Env().Undefined();
  Napi::Array result = Napi::Array::New(info.Env());
  Slice slice;
  for (uint32_t i = 0; segments.next(slice); i++) result.Set(i, Bytes::Copy(info.Env(), slice.bytes, slice.length));
  return result;
}

// coalesce(packets): what is written to the device, each with its offload header. A packet that is undefined stands for
// one that failed to open.
Napi::Value coalesce(const Napi::CallbackInfo& info) {
  std::vector<std::vector<uint8_t>> written;
  Coalescer coalescer(
      [](void* context, uint8_t* bytes, size_t length) {
        static_cast<std::vector<std::vector<uint8_t>>*>(context)->emplace_back(bytes, bytes + length);
        return true;
      },
      &written);
  const auto packets = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < packets.Length(); i++) {
    const Napi::Value value = packets.Get(i);
    if (value.IsUndefined()) {
      std::memset(coalescer.place(1400), 0xee, 1400);
      coalescer.discard();
      continue;
    }
    const auto packet = value.As<Napi::Uint8Array>();
    std::memcpy(coalescer.place(packet.ByteLength() + 15), packet.Data(), packet.ByteLength());
    coalescer.commit(packet.ByteLength());
  }
  coalescer.flush();
  Napi::Array result = Napi::Array::New(info.Env());
  for (uint32_t i = 0; i < written.size(); i++) {
    result.Set(i, Bytes::Copy(info.Env(), written[i].data(), written[i].size()));
  }
  return result;
}

// A copy of `bytes` with the room around it that Aead needs, filled with 0xee.
std::vector<uint8_t> withRoom(const uint8_t* bytes, size_t length) {
  std::vector<uint8_t> result(Aead::kFront + length + Aead::kBack, 0xee);
  std::copy(bytes, bytes + length, result.data() + Aead::kFront);
  return result;
}

uint64_t counterOf(const Napi::Value& value) {
  bool lossless;
  return value.As<Napi::BigInt>().Uint64Value(&lossless);
}

// seal(key, counter, plain): ciphertext and tag, behind the 64 bytes that were in front of them.
Napi::Value seal(const Napi::CallbackInfo& info) {
  const auto plain = info[2].As<Napi::Uint8Array>();
  const auto in = withRoom(plain.Data(), plain.ByteLength());
  std::vector<uint8_t> out(in.size() + kTagSize, 0xee);
  Aead aead(info[0].As<Napi::Uint8Array>().Data());
  const uint8_t* start = in.data() + Aead::kFront;
  if (!aead.seal(counterOf(info[1]), start, plain.ByteLength(), out.data() + Aead::kFront)) return info.Env().Undefined();
  return Bytes::Copy(info.Env(), out.data(), Aead::kFront + plain.ByteLength() + kTagSize);
}

// open(key, counter, sealed): [what is now where it was read, with 64 bytes in front and 80 behind; the packet, behind the
// 64 bytes that were in front of it], or undefined.
Napi::Value open(const Napi::CallbackInfo& info) {
  const auto sealed = info[2].As<Napi::Uint8Array>();
  auto in = withRoom(sealed.Data(), sealed.ByteLength());
  std::vector<uint8_t> out(in.size(), 0xee);
  Aead aead(info[0].As<Napi::Uint8Array>().Data());
  uint8_t* start = in.data() + Aead::kFront;
  if (!aead.open(counterOf(info[1]), start, sealed.ByteLength(), out.data() + Aead::kFront)) return info.Env().Undefined();
  Napi::Array result = Napi::Array::New(info.Env());
  result.Set(0u, Bytes::Copy(info.Env(), in.data(), in.size()));
  result.Set(1u, Bytes::Copy(info.Env(), out.data(), Aead::kFront + sealed.ByteLength() - kTagSize));
  return result;
}

// replay(counters): which of them are accepted.
Napi::Value replay(const Napi::CallbackInfo& info) {
  ReplayWindow window;
  const auto counters = info[0].As<Napi::Array>();
  Napi::Array result = Napi::Array::New(info.Env());
  for (uint32_t i = 0; i < counters.Length(); i++) {
    result.Set(i, window.accept(counterOf(counters.Get(i))));
  }
  return result;
}

Address addressOf(const Napi::Value& value) {
  const auto bytes = value.As<Napi::Uint8Array>();
  return bytes.ByteLength() == 4 ? addressV4(bytes.Data()) : addressV6(bytes.Data());
}

class AllowedIpsTable : public Napi::ObjectWrap<AllowedIpsTable> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "AllowedIpsTable",
                       {
                           InstanceMethod<&AllowedIpsTable::insert>("insert"),
                           InstanceMethod<&AllowedIpsTable::remove>("remove"),
                           InstanceMethod<&AllowedIpsTable::removePeer>("removePeer"),
                           InstanceMethod<&AllowedIpsTable::lookup>("lookup"),
                       });
  }
  explicit AllowedIpsTable(const Napi::CallbackInfo& info) : Napi::ObjectWrap<AllowedIpsTable>(info) {}

 private:
  Peer* peer(const Napi::Value& value) {
    const uint32_t id = value.As<Napi::Number>();
    auto& peer = peers_[id];
    if (!peer) peer = std::make_unique<Peer>(id);
    return peer.get();
  }
  static Prefix prefix(const Napi::CallbackInfo& info) {
    return {addressOf(info[0]), static_cast<uint8_t>(info[1].As<Napi::Number>().Uint32Value())};
  }
  void insert(const Napi::CallbackInfo& info) { table_.insert(prefix(info), peer(info[2])); }
  void remove(const Napi::CallbackInfo& info) { table_.remove(prefix(info), peer(info[2])); }
  void removePeer(const Napi::CallbackInfo& info) { table_.removeAll(peer(info[0])); }
  Napi::Value lookup(const Napi::CallbackInfo& info) {
    const auto* found = static_cast<const Peer*>(table_.lookup(addressOf(info[0])));
    return found == nullptr ? info.Env().Undefined() : Napi::Number::New(info.Env(), found->id);
  }

  std::unordered_map<uint32_t, std::unique_ptr<Peer>> peers_;
  AllowedIps table_;
};

}  // namespace

void defineInspection(Napi::Env env, Napi::Object exports) {
  exports.Set("split", Napi::Function::New<split>(env));
  exports.Set("coalesce", Napi::Function::New<coalesce>(env));
  exports.Set("seal", Napi::Function::New<seal>(env));
  exports.Set("open", Napi::Function::New<open>(env));
  exports.Set("replay", Napi::Function::New<replay>(env));
  exports.Set("AllowedIpsTable", AllowedIpsTable::define(env));
}

}  // namespace pellicle
