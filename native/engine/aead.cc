#include "aead.h"

#include <dlfcn.h>
#include <openssl/crypto.h>

#include <cstring>
#include <stdexcept>

#include "bytes.h"
#include "limits.h"

namespace pellicle {
namespace {

constexpr unsigned long kOldestOpenSsl = 0x30500000L;
constexpr size_t kBlock = 64;
constexpr size_t kMacKeySize = 32;
constexpr size_t kMacUnit = 16;

EVP_CIPHER* cipher = nullptr;
EVP_MAC* mac = nullptr;

size_t roundUp(size_t length, size_t unit) { return (length + unit - 1) / unit * unit; }

// A thread's, as it gets a new key with every packet.
class Poly1305 {
 public:
  Poly1305() : context_(EVP_MAC_CTX_new(mac)) {}
  ~Poly1305() { EVP_MAC_CTX_free(context_); }
  Poly1305(const Poly1305&) = delete;
  Poly1305& operator=(const Poly1305&) = delete;

  // Of ciphertext without additional data. Writes up to 31 bytes behind it.
  bool tag(const uint8_t* key, uint8_t* ciphertext, size_t length, uint8_t* out) {
    const size_t padded = roundUp(length, kMacUnit);
    std::memset(ciphertext + length, 0, padded - length);
    store<uint64_t>(ciphertext + padded, 0);
    store<uint64_t>(ciphertext + padded + 8, length);
    size_t written = 0;
    return context_ != nullptr && EVP_MAC_init(context_, key, kMacKeySize, nullptr) == 1 &&
           EVP_MAC_update(context_, ciphertext, padded + kMacUnit) == 1 &&
           EVP_MAC_final(context_, out, &written, kTagSize) == 1 && written == kTagSize;
  }

 private:
  EVP_MAC_CTX* context_;
};

Poly1305& poly1305() {
  thread_local Poly1305 instance;
  return instance;
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
  if (cipher == nullptr) cipher = EVP_CIPHER_fetch(nullptr, "ChaCha20", nullptr);
  if (mac == nullptr) mac = EVP_MAC_fetch(nullptr, "Poly1305", nullptr);
  if (cipher == nullptr || mac == nullptr) {
    return "The OpenSSL of this node binary offers no ChaCha20 and Poly1305 (FIPS mode?): run node without FIPS.";
  }
  return nullptr;
}

Aead::Aead(const uint8_t* key) : context_(EVP_CIPHER_CTX_new()) {
  if (context_ == nullptr || EVP_CipherInit_ex2(context_, cipher, key, nullptr, 1, nullptr) != 1) {
    EVP_CIPHER_CTX_free(context_);
    throw std::runtime_error("OpenSSL refused a ChaCha20 key");
  }
}

Aead::~Aead() { EVP_CIPHER_CTX_free(context_); }

bool Aead::crypt(uint64_t counter, const uint8_t* in, size_t length, uint8_t* out, uint8_t* macKey) {
  // Block counter, then the nonce: four zero bytes and the packet's counter.
  uint8_t iv[16] = {};
  store(iv + 8, counter);
  uint8_t front[kFront];
  std::memcpy(front, out - kFront, kFront);
  int written = 0;
  const size_t whole = kBlock + roundUp(length, kBlock);
  const bool done =
      EVP_CipherInit_ex2(context_, nullptr, nullptr, iv, 1, nullptr) == 1 &&
      EVP_EncryptUpdate(context_, out - kFront, &written, in - kFront, static_cast<int>(whole)) == 1;
  // Whatever is in front of `in` went through the block that the one-time key is the first half of.
  const uint8_t* inFront = in - kFront;
  const uint8_t* outFront = out - kFront;
  for (size_t i = 0; i < kMacKeySize; i++) macKey[i] = inFront[i] ^ outFront[i];
  std::memcpy(out - kFront, front, kFront);
  return done;
}

bool Aead::seal(uint64_t counter, const uint8_t* plain, size_t length, uint8_t* out) {
  uint8_t macKey[kMacKeySize];
  const bool sealed = crypt(counter, plain, length, out, macKey) && poly1305().tag(macKey, out, length, out + length);
  explicit_bzero(macKey, sizeof macKey);
  return sealed;
}

bool Aead::open(uint64_t counter, uint8_t* sealed, size_t length, uint8_t* out) {
  if (length < kTagSize) return false;
  const size_t plain = length - kTagSize;
  uint8_t macKey[kMacKeySize];
  uint8_t behind[2 * kMacUnit];
  std::memcpy(behind, sealed + plain, sizeof behind);
  uint8_t expected[kTagSize];
  const bool opened = crypt(counter, sealed, plain, out, macKey) && poly1305().tag(macKey, sealed, plain, expected);
  std::memcpy(sealed + plain, behind, sizeof behind);
  explicit_bzero(macKey, sizeof macKey);
  return opened && CRYPTO_memcmp(expected, behind, kTagSize) == 0;
}

}  // namespace pellicle
