// SAs without a device, for tests, and what seals them.
#include "espaddon.h"
#include "ipsecmb.h"
#include "napihelp.h"

namespace pellicle {
namespace {

using Bytes = Napi::Buffer<uint8_t>;

class EspSealer : public Napi::ObjectWrap<EspSealer> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "EspSealer", {InstanceMethod<&EspSealer::seal>("seal")});
  }
  explicit EspSealer(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<EspSealer>(info), sa_(readOutbound(info[0].As<Napi::Object>())) {}

 private:
  // seal(payload, next header): the packet, or the name of a reason.
  Napi::Value seal(const Napi::CallbackInfo& info) {
    const auto payload = info[0].As<Napi::Uint8Array>();
    std::vector<uint8_t> in(payload.Data(), payload.Data() + payload.ByteLength());
    in.resize(in.size() + kMaxEspTail, 0xee);
    std::vector<uint8_t> out(in.size() + kMaxEspOverhead);
    size_t size = 0;
    const auto nextHeader = static_cast<uint8_t>(info[1].As<Napi::Number>().Uint32Value());
    const EspDrop reason = sa_->seal(in.data(), payload.ByteLength(), nextHeader, out.data(), size);
    if (reason != EspDrop::kNone) return Napi::String::New(info.Env(), kEspDropNames[static_cast<size_t>(reason)]);
    for (size_t at = payload.ByteLength(); at < in.size(); at++) {
      if (in[at] != 0xee) throw Napi::Error::New(info.Env(), "what stood behind the payload was changed");
    }
    return Bytes::Copy(info.Env(), out.data(), size);
  }

  std::unique_ptr<OutboundSa> sa_;
};

class EspOpener : public Napi::ObjectWrap<EspOpener> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "EspOpener", {InstanceMethod<&EspOpener::open>("open")});
  }
  explicit EspOpener(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<EspOpener>(info), sa_(readInbound(info[0].As<Napi::Object>())) {}

 private:
  // open(packet): the inner packet (empty for a dummy), or the name of a reason.
  Napi::Value open(const Napi::CallbackInfo& info) {
    const auto packet = info[0].As<Napi::Uint8Array>();
    std::vector<uint8_t> out(sa_->openedLength(packet.ByteLength()) + 16, 0xee);
    EspOpened opened;
    EspDrop reason = sa_->open(packet.Data(), packet.ByteLength(), out.data(), opened);
    if (reason == EspDrop::kNone && opened.length > 0 && !sa_->permits(out.data())) reason = EspDrop::kInTemplateMismatched;
    if (reason != EspDrop::kNone) return Napi::String::New(info.Env(), kEspDropNames[static_cast<size_t>(reason)]);
    for (size_t at = out.size() - 16; at < out.size(); at++) {
      if (out[at] != 0xee) throw Napi::Error::New(info.Env(), "more was written than there is room for");
    }
    return Bytes::Copy(info.Env(), out.data(), opened.length);
  }

  std::unique_ptr<InboundSa> sa_;
};

Napi::Value gcmLibraries(const Napi::CallbackInfo& info) {
  Napi::Array names = Napi::Array::New(info.Env());
  if (const char* version = ipsecMbVersion()) names.Set(names.Length(), std::string("libipsec-mb ") + version);
  names.Set(names.Length(), "OpenSSL");
  return names;
}

}  // namespace

void defineEspInspection(Napi::Env env, Napi::Object exports) {
  exports.Set("EspSealer", EspSealer::define(env));
  exports.Set("EspOpener", EspOpener::define(env));
  exports.Set("gcmLibraries", Napi::Function::New(env, gcmLibraries));
  exports.Set("avoidIpsecMb", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
    avoidIpsecMb(info[0].As<Napi::Boolean>());
  }));
}

}  // namespace pellicle
