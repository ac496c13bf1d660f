// CURVE keys: 32 bytes, written as 64 hexadecimal digits.
#pragma once

#include <carrel/result.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace carrel::zmq {

struct KeyPair {
  std::string public_key;  // 64 hexadecimal digits, lower case
  std::string secret_key;  // likewise
};

Result<KeyPair> new_keys();  // kUnsupported: this libzmq has no CURVE

// A file whose `secret = "…"` is the key; the public one follows from it. kInvalid also
// where others than its owner may read it.
Result<KeyPair> read_secret(const std::filesystem::path& file);

bool is_key(std::string_view text) noexcept;  // 64 hexadecimal digits, lower case
std::string to_hex(std::string_view bytes);
std::string from_hex(std::string_view digits);  // of a key

}  // namespace carrel::zmq
