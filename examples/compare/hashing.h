// The work that is compared: hashing words with crypt(3).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace compare {

// The arguments of one job. `setting` is what crypt(3) calls it: method, cost and salt.
struct HashJob {
  std::string setting;
  std::vector<std::string> words;
};
void to_json(nlohmann::json& j, const HashJob& job);
void from_json(const nlohmann::json& j, HashJob& job);

// With crypt(3), which works in one static buffer: two threads that are in it at once
// spoil each other's hashes. This is the work of the handler and of hash_words.
std::vector<std::string> hash_carelessly(const HashJob& job);

// With crypt_r(3), whose buffer is the caller's: the truth that results are checked
// against. Uses every processor. Empty strings where crypt_r cannot hash with `setting`.
std::vector<std::string> hash_safely(const std::string& setting,
                                     const std::vector<std::string>& words);

}  // namespace compare
