// X25519 (RFC 7748) for handshakes, by the OpenSSL that is inside the node binary: without the DER that Node's own key
// objects go through, which costs as much as the curve.
#pragma once

#include <napi.h>

namespace pellicle {

// The class KeyPair. src/engine/native.ts tells what it means.
void defineKeyPair(Napi::Env env, Napi::Object exports);

}  // namespace pellicle
