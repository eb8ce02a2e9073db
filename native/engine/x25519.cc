#include "x25519.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <memory>

#include "limits.h"

namespace pellicle {
namespace {

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }  // wipes a private one
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, KeyDeleter>;
using Derivation = std::unique_ptr<EVP_PKEY_CTX, KeyDeleter>;

class KeyPair : public Napi::ObjectWrap<KeyPair> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "KeyPair", {InstanceMethod<&KeyPair::agree>("agree"),
                                        InstanceMethod<&KeyPair::reveal>("reveal"),
                                        InstanceMethod<&KeyPair::wipe>("wipe")});
  }

  explicit KeyPair(const Napi::CallbackInfo& info) : Napi::ObjectWrap<KeyPair>(info) {
    const auto bytes = info[0].As<Napi::Uint8Array>();
    uint8_t publicKey[kKeySize];
    size_t length = sizeof publicKey;
    if (bytes.ByteLength() == kKeySize) {
      key_.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, bytes.Data(), bytes.ByteLength()));
    }
    if (!key_ || EVP_PKEY_get_raw_public_key(key_.get(), publicKey, &length) != 1) {
      throw Napi::Error::New(info.Env(), "X25519 takes a private key of 32 bytes");
    }
    derivation_.reset(EVP_PKEY_CTX_new(key_.get(), nullptr));
    if (!derivation_ || EVP_PKEY_derive_init(derivation_.get()) != 1) {
      throw Napi::Error::New(info.Env(), "OpenSSL has no X25519");
    }
    info.This().As<Napi::Object>().Set("publicKey", copy(info.Env(), publicKey));
  }

 private:
  static Napi::Uint8Array copy(Napi::Env env, const uint8_t* bytes) {
    Napi::Uint8Array result = Napi::Uint8Array::New(env, kKeySize);
    std::copy(bytes, bytes + kKeySize, result.Data());
    return result;
  }

  void mustHaveKey(Napi::Env env) const {
    if (!key_) throw Napi::Error::New(env, "the key pair was wiped");
  }

  Napi::Value agree(const Napi::CallbackInfo& info) {
    mustHaveKey(info.Env());
    const auto bytes = info[0].As<Napi::Uint8Array>();
    const Key other(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, bytes.Data(), bytes.ByteLength()));
    uint8_t secret[kKeySize];
    size_t length = sizeof secret;
    // Fails for a point of low order: the secret would be all zero.
    const bool agreed = other && EVP_PKEY_derive_set_peer_ex(derivation_.get(), other.get(), 0) == 1 &&
                        EVP_PKEY_derive(derivation_.get(), secret, &length) == 1;
    const Napi::Value result = agreed ? copy(info.Env(), secret) : info.Env().Undefined();
    OPENSSL_cleanse(secret, sizeof secret);
    return result;
  }

  Napi::Value reveal(const Napi::CallbackInfo& info) {
    mustHaveKey(info.Env());
    Napi::Uint8Array result = Napi::Uint8Array::New(info.Env(), kKeySize);
    size_t length = kKeySize;
    if (EVP_PKEY_get_raw_private_key(key_.get(), result.Data(), &length) != 1) {
      throw Napi::Error::New(info.Env(), "OpenSSL does not give the private key back");
    }
    return result;
  }

  void wipe(const Napi::CallbackInfo&) {
    derivation_.reset();
    key_.reset();
  }

  Key key_;
  Derivation derivation_;
};

}  // namespace

void defineKeyPair(Napi::Env env, Napi::Object exports) { exports.Set("KeyPair", KeyPair::define(env)); }

}  // namespace pellicle
