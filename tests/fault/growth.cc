#include "growth.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace carrel::fault {
namespace {

constexpr std::size_t kEnough = 8;

std::uintmax_t median(std::vector<std::uintmax_t> some) {
  std::sort(some.begin(), some.end());
  return some[some.size() / 2];
}

std::string folder_of(pid_t process) { return "/proc/" + std::to_string(process); }

}  // namespace

GrowthWatch::Medians GrowthWatch::medians(const std::vector<std::uintmax_t>& samples) {
  const auto quarter = static_cast<std::ptrdiff_t>(samples.size() / 4);
  const auto second = samples.begin() + quarter;
  return {median({second, second + quarter}),
          median({samples.end() - quarter, samples.end()})};
}

std::vector<std::string> GrowthWatch::grown(double percent) const {
  std::vector<std::string> grown;
  for (const auto& [name, samples] : samples_) {
    if (samples.size() < kEnough) continue;
    const auto [before, after] = medians(samples);
    if (static_cast<double>(after) <= static_cast<double>(before) * (1 + percent / 100)) {
      continue;
    }
    grown.push_back(name + " grew from " + std::to_string(before) + " to " +
                    std::to_string(after));
  }
  return grown;
}

std::string GrowthWatch::to_string() const {
  std::ostringstream text;
  for (const auto& [name, samples] : samples_) {
    if (samples.size() < kEnough) {
      text << name << ": " << samples.back() << " (too few rounds to tell)\n";
    } else {
      const auto [before, after] = medians(samples);
      text << name << ": " << before << ", at last " << after << "\n";
    }
  }
  return text.str();
}

std::uintmax_t resident_bytes(pid_t process) {
  std::ifstream status(folder_of(process) + "/status");
  for (std::string word; status >> word;) {
    std::uintmax_t kilobytes = 0;
    if (word == "VmRSS:" && status >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

std::uintmax_t open_descriptors(pid_t process) {
  const std::filesystem::directory_iterator all(folder_of(process) + "/fd");
  return static_cast<std::uintmax_t>(std::distance(begin(all), end(all)));
}

}  // namespace carrel::fault
