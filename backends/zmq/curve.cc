#include "curve.h"

#include <sys/stat.h>
#include <zmq.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <sstream>

namespace carrel::zmq {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kZ85Bytes = 41;  // with the final zero
constexpr std::string_view kDigits = "0123456789abcdef";

std::string hex_of_z85(const char* z85) {
  std::array<std::uint8_t, kKeyBytes> bytes{};
  zmq_z85_decode(bytes.data(), z85);
  return to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

tl::unexpected<Error> bad(const std::filesystem::path& file, const std::string& why) {
  return fail(Code::kInvalid, "key file " + file.string() + ": " + why, "zmq");
}

// The value of the one line `secret = "…"`; lines with a '#' first are notes.
std::string secret_in(std::istream& in) {
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string name;
    std::string equals;
    std::string value;
    if (!(words >> name >> equals >> value) || name != "secret" || equals != "=")
      continue;
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      return value.substr(1, value.size() - 2);
  }
  return {};
}

}  // namespace

Result<KeyPair> new_keys() {
  std::array<char, kZ85Bytes> public_key{};
  std::array<char, kZ85Bytes> secret_key{};
  if (zmq_curve_keypair(public_key.data(), secret_key.data()) != 0) {
    return fail(Code::kUnsupported, "this libzmq was built without CURVE", "zmq");
  }
  return KeyPair{hex_of_z85(public_key.data()), hex_of_z85(secret_key.data())};
}

Result<KeyPair> read_secret(const std::filesystem::path& file) {
  std::ifstream in(file);
  struct stat status {};
  if (!in || stat(file.c_str(), &status) != 0) return bad(file, "cannot be read");
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return bad(file, "others may read it: chmod 600");
  }
  KeyPair keys;
  keys.secret_key = secret_in(in);
  if (!is_key(keys.secret_key)) {
    return bad(file, R"(expected a line secret = "…" with 64 hexadecimal digits)");
  }
  std::array<char, kZ85Bytes> secret{};
  std::array<char, kZ85Bytes> public_key{};
  const std::string bytes = from_hex(keys.secret_key);
  zmq_z85_encode(secret.data(), reinterpret_cast<const std::uint8_t*>(bytes.data()),
                 bytes.size());
  if (zmq_curve_public(public_key.data(), secret.data()) != 0) {
    return fail(Code::kUnsupported, "this libzmq was built without CURVE", "zmq");
  }
  keys.public_key = hex_of_z85(public_key.data());
  return keys;
}

bool is_key(std::string_view text) noexcept {
  return text.size() == 2 * kKeyBytes &&
         text.find_first_not_of(kDigits) == std::string_view::npos;
}

std::string to_hex(std::string_view bytes) {
  std::string digits;
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    digits.push_back(kDigits[byte >> 4U]);
    digits.push_back(kDigits[byte & 15U]);
  }
  return digits;
}

std::string from_hex(std::string_view digits) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(
        static_cast<char>(kDigits.find(digits[i]) * 16 + kDigits.find(digits[i + 1])));
  }
  return bytes;
}

}  // namespace carrel::zmq
