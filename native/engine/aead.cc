#include "aead.h"

#include <dlfcn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <stdexcept>

#include "bytes.h"
#include "limits.h"

namespace pellicle {
namespace {

constexpr unsigned long kOldestOpenSsl = 0x30500000L;
EVP_CIPHER* cipher = nullptr;

void nonce(uint64_t counter, uint8_t* out) {
  store<uint32_t>(out, 0);
  store(out + 4, counter);
}

}  // namespace

const char* cryptoProblem() {
  using VersionNumber = unsigned long (*)();
  auto version = reinterpret_cast<VersionNumber>(dlsym(RTLD_DEFAULT, "OpenSSL_version_num"));
  if (version == nullptr || dlsym(RTLD_DEFAULT, "EVP_CipherInit_ex2") == nullptr) {
    return "This node binary does not export OpenSSL: run the engine with an official build of Node.js 24 or later.";
  }
  if (version() < kOldestOpenSsl) {
    return "This node binary carries an OpenSSL older than 3.5: run the engine with Node.js 24 or later.";
  }
  if (cipher == nullptr) cipher = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
  if (cipher == nullptr) {
    return "The OpenSSL of this node binary offers no ChaCha20-Poly1305 (FIPS mode?): run node without FIPS.";
  }
  return nullptr;
}

Aead::Aead(const uint8_t* key, Direction direction) : context_(EVP_CIPHER_CTX_new()) {
  const int sealing = direction == Direction::kSeal ? 1 : 0;
  if (context_ == nullptr || EVP_CipherInit_ex2(context_, cipher, key, nullptr, sealing, nullptr) != 1) {
    EVP_CIPHER_CTX_free(context_);
    throw std::runtime_error("OpenSSL refused a ChaCha20-Poly1305 key");
  }
}

Aead::~Aead() { EVP_CIPHER_CTX_free(context_); }

bool Aead::seal(uint64_t counter, const uint8_t* plain, size_t length, uint8_t* out) {
  uint8_t iv[12];
  nonce(counter, iv);
  int written = 0;
  OSSL_PARAM tag[] = {
      OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, out + length, kTagSize),
      OSSL_PARAM_construct_end(),
  };
  return EVP_CipherInit_ex2(context_, nullptr, nullptr, iv, 1, nullptr) == 1 &&
         (length == 0 || EVP_EncryptUpdate(context_, out, &written, plain, static_cast<int>(length)) == 1) &&
         EVP_EncryptFinal_ex(context_, out + length, &written) == 1 && EVP_CIPHER_CTX_get_params(context_, tag) == 1;
}

bool Aead::open(uint64_t counter, const uint8_t* sealed, size_t length, uint8_t* out) {
  if (length < kTagSize) return false;
  const size_t plain = length - kTagSize;
  uint8_t iv[12];
  nonce(counter, iv);
  uint8_t expected[kTagSize];
  std::memcpy(expected, sealed + plain, kTagSize);
  OSSL_PARAM tag[] = {
      OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, expected, kTagSize),
      OSSL_PARAM_construct_end(),
  };
  int written = 0;
  uint8_t nothing[kTagSize];
  return EVP_CipherInit_ex2(context_, nullptr, nullptr, iv, 0, tag) == 1 &&
         (plain == 0 || EVP_DecryptUpdate(context_, out, &written, sealed, static_cast<int>(plain)) == 1) &&
         EVP_DecryptFinal_ex(context_, nothing, &written) == 1;
}

}  // namespace pellicle
