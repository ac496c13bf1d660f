#include "hashing.h"

#include <crypt.h>

#include <algorithm>
#include <memory>
#include <thread>

namespace compare {

void to_json(nlohmann::json& j, const HashJob& job) {
  j = {{"setting", job.setting}, {"words", job.words}};
}

void from_json(const nlohmann::json& j, HashJob& job) {
  j.at("setting").get_to(job.setting);
  j.at("words").get_to(job.words);
}

std::vector<std::string> hash_carelessly(const HashJob& job) {
  std::vector<std::string> hashes;
  hashes.reserve(job.words.size());
  for (const std::string& word : job.words) {
    const char* hash = ::crypt(word.c_str(), job.setting.c_str());
    hashes.emplace_back(hash != nullptr ? hash : "");
  }
  return hashes;
}

std::vector<std::string> hash_safely(const std::string& setting,
                                     const std::vector<std::string>& words) {
  std::vector<std::string> hashes(words.size());
  const std::size_t workers = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::jthread> threads;
  for (std::size_t w = 0; w < workers; ++w) {
    threads.emplace_back([&, w] {
      auto state = std::make_unique<crypt_data>();
      for (std::size_t i = w; i < words.size(); i += workers) {
        const char* hash = ::crypt_r(words[i].c_str(), setting.c_str(), state.get());
        if (hash != nullptr && hash[0] != '*') hashes[i] = hash;
      }
    });
  }
  return hashes;
}

}  // namespace compare
