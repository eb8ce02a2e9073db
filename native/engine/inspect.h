// The parts of the packet loop that can be tried without a device, for the tests of src/engine.
#pragma once

#include <napi.h>

namespace pellicle {

void defineInspection(Napi::Env env, Napi::Object exports);

}  // namespace pellicle
