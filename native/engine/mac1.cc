#include "mac1.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

namespace pellicle {
namespace {

EVP_MAC* blake2s = nullptr;

// Keyed BLAKE2s with 16 bytes of output. A thread's, as one computes while another does.
class Blake2s {
 public:
  Blake2s() : context_(EVP_MAC_CTX_new(blake2s)) {
    size_t size = kMacSize;
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end()};
    if (context_ != nullptr && EVP_MAC_CTX_set_params(context_, parameters) == 1) return;
    EVP_MAC_CTX_free(context_);
    context_ = nullptr;
  }
  ~Blake2s() { EVP_MAC_CTX_free(context_); }
  Blake2s(const Blake2s&) = delete;
  Blake2s& operator=(const Blake2s&) = delete;

  bool mac(const Mac1::Key& key, const uint8_t* bytes, size_t length, uint8_t* out) {
    size_t written = 0;
    return context_ != nullptr && EVP_MAC_init(context_, key.data(), key.size(), nullptr) == 1 &&
           EVP_MAC_update(context_, bytes, length) == 1 &&
           EVP_MAC_final(context_, out, &written, kMacSize) == 1 && written == kMacSize;
  }

 private:
  EVP_MAC_CTX* context_;
};

}  // namespace

const char* mac1Problem() {
  if (blake2s == nullptr) blake2s = EVP_MAC_fetch(nullptr, "BLAKE2SMAC", nullptr);
  return blake2s == nullptr ? "The OpenSSL of this node binary offers no BLAKE2s (FIPS mode?): run node without FIPS." : nullptr;
}

bool Mac1::holds(const uint8_t* message, size_t length) const {
  if (!key_) return true;
  thread_local Blake2s hash;
  const size_t covered = length - 2 * kMacSize;
  uint8_t expected[kMacSize];
  return hash.mac(*key_, message, covered, expected) && CRYPTO_memcmp(expected, message + covered, kMacSize) == 0;
}

}  // namespace pellicle
