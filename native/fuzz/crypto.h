// OpenSSL under a fuzz target.
#pragma once

#include <openssl/evp.h>

#include <cstddef>

namespace pellicle::fuzz {

// Before anything that seals or opens.
void prepareCrypto();

// Ends the program when AddressSanitizer knows that a byte of it may not be used.
void touch(const void* bytes, size_t length);

}  // namespace pellicle::fuzz
