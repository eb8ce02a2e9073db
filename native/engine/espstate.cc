// SAs out of what JavaScript says.
#include <cerrno>

#include "espaddon.h"
#include "napihelp.h"

namespace pellicle {
namespace {

size_t size(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::Number>().Uint32Value();
}

EspSuite readSuite(const Napi::Object& object) {
  EspSuite suite;
  suite.cipher = static_cast<EspCipherKind>(size(object, "kind"));
  suite.hashBits = static_cast<uint16_t>(size(object, "hashBits"));
  suite.keyLength = size(object, "keyLength");
  suite.saltLength = size(object, "saltLength");
  suite.integrityKeyLength = size(object, "integrityKeyLength");
  suite.ivLength = size(object, "ivLength");
  suite.icvLength = size(object, "icvLength");
  suite.alignment = size(object, "alignment");
  return suite;
}

void readAddress(Napi::Env env, const Napi::Value& value, uint8_t* out, uint32_t& family) {
  const auto bytes = value.As<Napi::Uint8Array>();
  if (bytes.ByteLength() != 4 && bytes.ByteLength() != 16) fail(env, EINVAL, "an address has 4 or 16 bytes");
  family = bytes.ByteLength() == 4 ? 4 : 6;
  std::memcpy(out, bytes.Data(), bytes.ByteLength());
}

EspParameters readParameters(const Napi::Object& state) {
  EspParameters parameters;
  EspId& id = parameters.id;
  id.spi = state.Get("spi").As<Napi::Number>().Uint32Value();
  uint32_t family = 0;
  readAddress(state.Env(), state.Get("source"), id.source(), id.family);
  readAddress(state.Env(), state.Get("destination"), id.destination(), family);
  if (family != id.family) fail(state.Env(), EINVAL, "the two addresses are of two families");
  parameters.suite = readSuite(state.Get("suite").As<Napi::Object>());
  parameters.esn = state.Get("esn").As<Napi::Boolean>();
  parameters.encapsulation.sourcePort = static_cast<uint16_t>(size(state, "sourcePort"));
  parameters.encapsulation.destinationPort = static_cast<uint16_t>(size(state, "destinationPort"));
  parameters.keyName = state.Get("keyName").As<Napi::String>();
  return parameters;
}

std::unique_ptr<EspCipher> readCipher(const Napi::Object& state, const EspParameters& parameters, bool seals) {
  const auto key = state.Get("key").As<Napi::Uint8Array>();
  const Napi::Value integrity = state.Get("integrityKey");
  const bool authenticates = integrity.IsTypedArray();
  const uint8_t* integrityKey = authenticates ? integrity.As<Napi::Uint8Array>().Data() : nullptr;
  const size_t integrityLength = authenticates ? integrity.As<Napi::Uint8Array>().ByteLength() : 0;
  const EspSuite& suite = parameters.suite;
  if (key.ByteLength() != suite.keyLength + suite.saltLength || integrityLength != suite.integrityKeyLength) {
    fail(state.Env(), EINVAL, "the keys have not the lengths of their algorithms");
  }
  auto cipher = seals ? EspCipher::sealer(suite, key.Data(), integrityKey, parameters.esn)
                      : EspCipher::opener(suite, key.Data(), integrityKey, parameters.esn);
  if (!cipher) fail(state.Env(), EINVAL, "the OpenSSL of this node binary refuses the algorithm or its key");
  return cipher;
}

}  // namespace

EspLimits readEspLimits(const Napi::Object& state) {
  const auto limits = state.Get("limits").As<Napi::Object>();
  EspLimits result;
  result.dueSequence = bigint(limits.Get("dueSequence"));
  result.lastSequence = bigint(limits.Get("lastSequence"));
  result.dueBlocks = bigint(limits.Get("dueBlocks"));
  result.lastBlocks = bigint(limits.Get("lastBlocks"));
  // The counter never wraps, whatever was asked for (RFC 4303, section 3.3.3).
  if (!state.Get("esn").As<Napi::Boolean>()) result.lastSequence = std::min<uint64_t>(result.lastSequence, UINT32_MAX);
  return result;
}

std::vector<Prefix> readPrefixes(const Napi::Value& entries) {
  const auto bytes = entries.As<Napi::Uint8Array>();
  std::vector<Prefix> result;
  for (size_t at = 0; at + kEntry <= bytes.ByteLength(); at += kEntry) result.push_back(prefixOf(bytes.Data() + at));
  return result;
}

std::unique_ptr<OutboundSa> readOutbound(const Napi::Object& state) {
  const EspParameters parameters = readParameters(state);
  auto sa = std::make_unique<OutboundSa>(parameters, readCipher(state, parameters, true));
  const EspId& id = parameters.id;
  if (id.family == 4) {
    sa->to.v4.sin_family = AF_INET;
    sa->to.v4.sin_port = htons(parameters.encapsulation.destinationPort);
    std::memcpy(&sa->to.v4.sin_addr, id.destination(), 4);
  } else {
    sa->to.v6.sin6_family = AF_INET6;
    sa->to.v6.sin6_port = htons(parameters.encapsulation.destinationPort);
    std::memcpy(&sa->to.v6.sin6_addr, id.destination(), 16);
  }
  std::memcpy(&sa->to.source, id.source(), id.family == 4 ? 4 : 16);
  sa->limits = readEspLimits(state);
  sa->counters.sequence = bigint(state.Get("after"));
  return sa;
}

std::unique_ptr<InboundSa> readInbound(const Napi::Object& state) {
  const EspParameters parameters = readParameters(state);
  const auto window = static_cast<uint32_t>(size(state, "window"));
  auto sa = std::make_unique<InboundSa>(parameters, readCipher(state, parameters, false),
                                        std::clamp<uint32_t>(window, 1, SequenceWindow::kMost), bigint(state.Get("after")));
  sa->sources = readPrefixes(state.Get("sources"));
  return sa;
}

}  // namespace pellicle
