// ESP for JavaScript: the packet loop as a class, and parts that tests try without a device.
#pragma once

#include <napi.h>

#include <memory>

#include "espsa.h"

namespace pellicle {

Napi::Function defineEspLoop(Napi::Env env);
void defineEspInspection(Napi::Env env, Napi::Object exports);

// One SA as JavaScript describes it (EspState of src/engine/esp-native.ts). Throws when OpenSSL refuses the key.
std::unique_ptr<OutboundSa> readOutbound(const Napi::Object& state);
std::unique_ptr<InboundSa> readInbound(const Napi::Object& state);
EspLimits readEspLimits(const Napi::Object& state);
std::vector<Prefix> readPrefixes(const Napi::Value& entries);

}  // namespace pellicle
