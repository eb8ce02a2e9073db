// OpenSSL is not instrumented: its calls are wrapped (ld --wrap), so that AddressSanitizer sees what they read and write.
#include "crypto.h"

#include <sanitizer/asan_interface.h>

#include "fuzz.h"
#include "../engine/aead.h"

extern "C" {

// The engine asks for the OpenSSL of Node.js 24. What it uses of it is the same in older ones.
__attribute__((visibility("default"))) unsigned long OpenSSL_version_num() { return 0x30500000L; }

#define WRAPPED(name, ...) __real_##name(__VA_ARGS__); int __wrap_##name(__VA_ARGS__)

int WRAPPED(EVP_EncryptUpdate, EVP_CIPHER_CTX* context, unsigned char* out, int* written, const unsigned char* in, int length) {
  pellicle::fuzz::touch(in, static_cast<size_t>(length));
  pellicle::fuzz::touch(out, static_cast<size_t>(length));
  return __real_EVP_EncryptUpdate(context, out, written, in, length);
}

int WRAPPED(EVP_DecryptUpdate, EVP_CIPHER_CTX* context, unsigned char* out, int* written, const unsigned char* in, int length) {
  pellicle::fuzz::touch(in, static_cast<size_t>(length));
  pellicle::fuzz::touch(out, static_cast<size_t>(length));
  return __real_EVP_DecryptUpdate(context, out, written, in, length);
}

int WRAPPED(EVP_CipherUpdate, EVP_CIPHER_CTX* context, unsigned char* out, int* written, const unsigned char* in, int length) {
  pellicle::fuzz::touch(in, static_cast<size_t>(length));
  if (out != nullptr) pellicle::fuzz::touch(out, static_cast<size_t>(length));
  return __real_EVP_CipherUpdate(context, out, written, in, length);
}

int WRAPPED(EVP_MAC_update, EVP_MAC_CTX* context, const unsigned char* bytes, size_t length) {
  pellicle::fuzz::touch(bytes, length);
  return __real_EVP_MAC_update(context, bytes, length);
}

int WRAPPED(EVP_MAC_final, EVP_MAC_CTX* context, unsigned char* out, size_t* written, size_t room) {
  pellicle::fuzz::touch(out, room);
  return __real_EVP_MAC_final(context, out, written, room);
}

}  // extern "C"

namespace pellicle::fuzz {

void touch(const void* bytes, size_t length) {
  void* bad = __asan_region_is_poisoned(const_cast<void*>(bytes), length);
  // The access itself gives the best report.
  if (bad != nullptr) [[maybe_unused]] const volatile uint8_t value = *static_cast<uint8_t*>(bad);
}

void prepareCrypto() {
  static const char* const problem = cryptoProblem();
  if (problem == nullptr) return;
  std::fprintf(stderr, "%s\n", problem);
  std::abort();
}

}  // namespace pellicle::fuzz
