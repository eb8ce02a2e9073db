#include "espcipher.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <cstdio>
#include <cstring>

#include "espaead.h"
#include "ipsecmb.h"

namespace pellicle {
namespace {

constexpr size_t kBlock = 16;
constexpr size_t kMaxMac = 64;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;
using MacContext = std::unique_ptr<EVP_MAC_CTX, FreeContext>;

const EVP_CIPHER* cipherOf(const EspSuite& suite) {
  switch (suite.cipher) {
    case EspCipherKind::kChaCha20Poly1305:
      return EVP_chacha20_poly1305();
    case EspCipherKind::kAesGcm:
      return suite.keyLength == 16 ? EVP_aes_128_gcm() : suite.keyLength == 24 ? EVP_aes_192_gcm() : EVP_aes_256_gcm();
    case EspCipherKind::kAesCbc:
      return suite.keyLength == 16 ? EVP_aes_128_cbc() : suite.keyLength == 24 ? EVP_aes_192_cbc() : EVP_aes_256_cbc();
  }
  return nullptr;
}

class AeadCipher : public EspCipher {
 public:
  AeadCipher(const EspSuite& suite, const uint8_t* key, bool esn, bool seals)
      : icvLength_(suite.icvLength), esn_(esn), context_(EVP_CIPHER_CTX_new()) {
    std::memcpy(nonce_, key + suite.keyLength, suite.saltLength);
    valid_ = context_ && EVP_CipherInit_ex2(context_.get(), cipherOf(suite), key, nullptr, seals ? 1 : 0, nullptr) == 1;
  }
  ~AeadCipher() override { OPENSSL_cleanse(nonce_, sizeof nonce_); }
  bool valid() const { return valid_; }

  bool seal(uint64_t sequence, const uint8_t* plain, size_t length, uint8_t* packet) override {
    uint8_t* iv = packet + kEspHeader;
    store(iv, __builtin_bswap64(sequence));
    uint8_t* out = iv + kAeadIv;
    int written = 0;
    int rest = 0;
    return begin(sequence, packet, iv) &&
           EVP_EncryptUpdate(context_.get(), out, &written, plain, static_cast<int>(length)) == 1 &&
           EVP_EncryptFinal_ex(context_.get(), out + length, &rest) == 1 && takeIcv(out + length);
  }

  bool open(uint64_t sequence, const uint8_t* packet, size_t length, uint8_t* out) override {
    const uint8_t* iv = packet + kEspHeader;
    const uint8_t* sealed = iv + kAeadIv;
    const size_t plain = length - kEspHeader - kAeadIv - icvLength_;
    int written = 0;
    int rest = 0;
    std::memcpy(icv_, sealed + plain, icvLength_);
    return begin(sequence, packet, iv, icvParameters_) &&
           EVP_DecryptUpdate(context_.get(), out, &written, sealed, static_cast<int>(plain)) == 1 &&
           EVP_DecryptFinal_ex(context_.get(), out + plain, &rest) == 1;
  }

 private:
  bool begin(uint64_t sequence, const uint8_t* packet, const uint8_t* iv, const OSSL_PARAM* parameters = nullptr) {
    std::memcpy(nonce_ + kAeadSalt, iv, kAeadIv);
    const AssociatedData associated(sequence, packet, esn_);
    int written = 0;
    return EVP_CipherInit_ex2(context_.get(), nullptr, nullptr, nonce_, -1, parameters) == 1 &&
           EVP_CipherUpdate(context_.get(), nullptr, &written, associated.bytes, static_cast<int>(associated.length)) == 1;
  }

  bool takeIcv(uint8_t* out) {
    if (EVP_CIPHER_CTX_get_params(context_.get(), icvParameters_) != 1) return false;
    std::memcpy(out, icv_, icvLength_);
    return true;
  }

  const size_t icvLength_;
  const bool esn_;
  bool valid_ = false;
  CipherContext context_;
  uint8_t nonce_[kAeadNonce];
  // Made once: EVP_CIPHER_CTX_ctrl would translate to the same with every packet.
  uint8_t icv_[kBlock];
  OSSL_PARAM icvParameters_[2] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, icv_, icvLength_),
                                  OSSL_PARAM_construct_end()};
};

// RFC 3602 and RFC 4868: encrypt, then the first half of the HMAC over all of it.
class CbcCipher : public EspCipher {
 public:
  CbcCipher(const EspSuite& suite, const uint8_t* key, const uint8_t* integrityKey, bool esn, bool seals)
      : icvLength_(suite.icvLength), esn_(esn), context_(EVP_CIPHER_CTX_new()) {
    const uint8_t zero[kBlock] = {};
    std::unique_ptr<EVP_MAC, void (*)(EVP_MAC*)> hmac(EVP_MAC_fetch(nullptr, "HMAC", nullptr), EVP_MAC_free);
    if (!context_ || !hmac) return;
    mac_.reset(EVP_MAC_CTX_new(hmac.get()));
    char digest[16];
    std::snprintf(digest, sizeof digest, "SHA%u", static_cast<unsigned>(suite.hashBits));
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                     OSSL_PARAM_construct_end()};
    valid_ = mac_ && EVP_MAC_init(mac_.get(), integrityKey, suite.integrityKeyLength, parameters) == 1 &&
             EVP_CipherInit_ex2(context_.get(), cipherOf(suite), key, zero, seals ? 1 : 0, nullptr) == 1 &&
             EVP_CIPHER_CTX_set_padding(context_.get(), 0) == 1;
  }
  bool valid() const { return valid_; }

  // The IV is the encrypted sequence number, which nobody can foresee (NIST SP 800-38A, appendix C): chained from an IV of
  // zero, it is what the first block becomes.
  bool seal(uint64_t sequence, const uint8_t* plain, size_t length, uint8_t* packet) override {
    const uint8_t zero[kBlock] = {};
    uint8_t first[kBlock] = {};
    store(first + 8, __builtin_bswap64(sequence));
    uint8_t* iv = packet + kEspHeader;
    int written = 0;
    const size_t covered = kEspHeader + kBlock + length;
    uint8_t icv[kMaxMac];
    if (EVP_CipherInit_ex2(context_.get(), nullptr, nullptr, zero, -1, nullptr) != 1 ||
        EVP_EncryptUpdate(context_.get(), iv, &written, first, kBlock) != 1 ||
        EVP_EncryptUpdate(context_.get(), iv + kBlock, &written, plain, static_cast<int>(length)) != 1 ||
        !authenticate(sequence, packet, covered, icv)) {
      return false;
    }
    std::memcpy(packet + covered, icv, icvLength_);
    return true;
  }

  bool open(uint64_t sequence, const uint8_t* packet, size_t length, uint8_t* out) override {
    const size_t covered = length - icvLength_;
    const uint8_t* iv = packet + kEspHeader;
    uint8_t icv[kMaxMac];
    int written = 0;
    return authenticate(sequence, packet, covered, icv) && CRYPTO_memcmp(icv, packet + covered, icvLength_) == 0 &&
           EVP_CipherInit_ex2(context_.get(), nullptr, nullptr, iv, -1, nullptr) == 1 &&
           EVP_DecryptUpdate(context_.get(), out, &written, iv + kBlock,
                             static_cast<int>(covered - kEspHeader - kBlock)) == 1;
  }

 private:
  // RFC 4303, section 2.8: over all before it and, with ESN, the high half of the sequence number.
  bool authenticate(uint64_t sequence, const uint8_t* packet, size_t length, uint8_t* icv) {
    uint8_t high[4];
    storeBig32(high, static_cast<uint32_t>(sequence >> 32));
    size_t written = 0;
    return EVP_MAC_init(mac_.get(), nullptr, 0, nullptr) == 1 && EVP_MAC_update(mac_.get(), packet, length) == 1 &&
           (!esn_ || EVP_MAC_update(mac_.get(), high, sizeof high) == 1) &&
           EVP_MAC_final(mac_.get(), icv, &written, kMaxMac) == 1 && written >= icvLength_;
  }

  const size_t icvLength_;
  const bool esn_;
  bool valid_ = false;
  CipherContext context_;
  MacContext mac_;
};

std::unique_ptr<EspCipher> make(const EspSuite& suite, const uint8_t* key, const uint8_t* integrityKey, bool esn,
                                bool seals) {
  if (suite.cipher == EspCipherKind::kAesCbc) {
    auto made = std::make_unique<CbcCipher>(suite, key, integrityKey, esn, seals);
    return made->valid() ? std::move(made) : nullptr;
  }
  if (auto quicker = ipsecMbGcm(suite, key, esn)) return quicker;
  auto made = std::make_unique<AeadCipher>(suite, key, esn, seals);
  return made->valid() ? std::move(made) : nullptr;
}

}  // namespace

std::unique_ptr<EspCipher> EspCipher::sealer(const EspSuite& suite, const uint8_t* key, const uint8_t* integrityKey,
                                             bool esn) {
  return make(suite, key, integrityKey, esn, true);
}

std::unique_ptr<EspCipher> EspCipher::opener(const EspSuite& suite, const uint8_t* key, const uint8_t* integrityKey,
                                             bool esn) {
  return make(suite, key, integrityKey, esn, false);
}

}  // namespace pellicle
