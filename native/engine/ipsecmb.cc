#include "ipsecmb.h"

#include <openssl/crypto.h>

#include <atomic>
#include <cstring>

#include "espaead.h"

#if __has_include(<intel-ipsec-mb.h>)
#include <dlfcn.h>
#include <intel-ipsec-mb.h>
#define HAS_IPSEC_MB
#endif

namespace pellicle {
namespace {

std::atomic<bool> avoided{false};

#ifdef HAS_IPSEC_MB

constexpr size_t kBlock = 16;

// The functions for one length of keys.
struct Gcm {
  aes_gcm_pre_t expand;
  aes_gcm_enc_dec_t seal;
  aes_gcm_enc_dec_t open;
};

class GcmCipher : public EspCipher {
 public:
  GcmCipher(const Gcm& gcm, const EspSuite& suite, const uint8_t* key, bool esn)
      : gcm_(gcm), icvLength_(suite.icvLength), esn_(esn) {
    gcm_.expand(key, &key_);
    std::memcpy(nonce_, key + suite.keyLength, kAeadSalt);
  }
  ~GcmCipher() override {
    OPENSSL_cleanse(&key_, sizeof key_);
    OPENSSL_cleanse(&state_, sizeof state_);
    OPENSSL_cleanse(nonce_, sizeof nonce_);
  }

  bool seal(uint64_t sequence, const uint8_t* plain, size_t length, uint8_t* packet) override {
    uint8_t* iv = packet + kEspHeader;
    store(iv, __builtin_bswap64(sequence));
    uint8_t* out = iv + kAeadIv;
    run(gcm_.seal, sequence, packet, plain, length, out, out + length);
    return true;
  }

  bool open(uint64_t sequence, const uint8_t* packet, size_t length, uint8_t* out) override {
    const uint8_t* sealed = packet + kEspHeader + kAeadIv;
    const size_t plain = length - kEspHeader - kAeadIv - icvLength_;
    uint8_t icv[kBlock];
    run(gcm_.open, sequence, packet, sealed, plain, out, icv);
    return CRYPTO_memcmp(icv, sealed + plain, icvLength_) == 0;
  }

 private:
  void run(aes_gcm_enc_dec_t function, uint64_t sequence, const uint8_t* packet, const uint8_t* in, size_t length,
           uint8_t* out, uint8_t* icv) {
    std::memcpy(nonce_ + kAeadSalt, packet + kEspHeader, kAeadIv);
    const AssociatedData associated(sequence, packet, esn_);
    function(&key_, &state_, out, in, length, nonce_, associated.bytes, associated.length, icv, icvLength_);
  }

  alignas(64) gcm_key_data key_;
  gcm_context_data state_;
  const Gcm& gcm_;
  const size_t icvLength_;
  const bool esn_;
  uint8_t nonce_[kAeadNonce];
};

class Library {
 public:
  Library() {
    void* loaded = dlopen("libIPSec_MB.so.1", RTLD_NOW | RTLD_LOCAL);
    if (loaded == nullptr) return;
    const auto version = find<decltype(imb_get_version)>(loaded, "imb_get_version");
    const auto name = find<decltype(imb_get_version_str)>(loaded, "imb_get_version_str");
    const auto make = find<decltype(alloc_mb_mgr)>(loaded, "alloc_mb_mgr");
    const auto choose = find<decltype(init_mb_mgr_auto)>(loaded, "init_mb_mgr_auto");
    const auto discard = find<decltype(free_mb_mgr)>(loaded, "free_mb_mgr");
    // Within a major version the manager only grows, at its end.
    if (!version || !name || !make || !choose || !discard) return;
    if (version() < IMB_VERSION_NUM || version() >> 16 != IMB_VERSION_NUM >> 16) return;
    IMB_MGR* manager = make(0);
    if (manager == nullptr) return;
    IMB_ARCH chosen;
    choose(manager, &chosen);
    if (manager->imb_errno == 0 && (manager->features & IMB_CPUFLAGS_AVX512_T2) == IMB_CPUFLAGS_AVX512_T2) {
      gcm_[0] = {manager->gcm128_pre, manager->gcm128_enc, manager->gcm128_dec};
      gcm_[1] = {manager->gcm192_pre, manager->gcm192_enc, manager->gcm192_dec};
      gcm_[2] = {manager->gcm256_pre, manager->gcm256_enc, manager->gcm256_dec};
      if (answersRightly()) version_ = name();
    }
    discard(manager);
  }

  const char* version() const { return version_; }
  const Gcm& gcm(size_t keyLength) const { return gcm_[keyLength / 8 - 2]; }

 private:
  template <class Function>
  static Function* find(void* library, const char* name) {
    return reinterpret_cast<Function*>(dlsym(library, name));
  }

  // Test case 2 of the GCM specification (McGrew and Viega): a key, a nonce and a block of zeros.
  bool answersRightly() const {
    static constexpr uint8_t kExpected[] = {0x03, 0x88, 0xda, 0xce, 0x60, 0xb6, 0xa3, 0x92, 0xf3, 0x28, 0xc2,
                                            0xb9, 0x71, 0xb2, 0xfe, 0x78, 0xab, 0x6e, 0x47, 0xd4, 0x2c, 0xec,
                                            0x13, 0xbd, 0xf5, 0x3a, 0x67, 0xb2, 0x12, 0x57, 0xbd, 0xdf};
    const uint8_t zero[kBlock] = {};
    alignas(64) gcm_key_data key;
    gcm_context_data state;
    uint8_t answer[2 * kBlock];
    gcm_[0].expand(zero, &key);
    gcm_[0].seal(&key, &state, answer, zero, kBlock, zero, zero, 0, answer + kBlock, kBlock);
    return std::memcmp(answer, kExpected, sizeof answer) == 0;
  }

  Gcm gcm_[3] = {};
  const char* version_ = nullptr;
};

const Library& library() {
  static const Library instance;
  return instance;
}

#endif

}  // namespace

void avoidIpsecMb(bool avoid) { avoided = avoid; }

#ifdef HAS_IPSEC_MB

const char* ipsecMbVersion() { return library().version(); }

std::unique_ptr<EspCipher> ipsecMbGcm(const EspSuite& suite, const uint8_t* key, bool esn) {
  if (avoided || suite.cipher != EspCipherKind::kAesGcm || ipsecMbVersion() == nullptr) return nullptr;
  return std::make_unique<GcmCipher>(library().gcm(suite.keyLength), suite, key, esn);
}

#else

const char* ipsecMbVersion() { return nullptr; }

std::unique_ptr<EspCipher> ipsecMbGcm(const EspSuite&, const uint8_t*, bool) { return nullptr; }

#endif

}  // namespace pellicle
