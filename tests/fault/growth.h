// Figures that are to stay as they are, from round to round.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace carrel::fault {

class GrowthWatch {
 public:
  void add(const std::string& name, std::uintmax_t value) {
    samples_[name].push_back(value);
  }
  // Those that have grown by more than `percent` between the second and the last quarter
  // of their samples, each as a line for people; of medians. The first quarter is what it
  // takes to get going. Fewer than eight samples say nothing.
  std::vector<std::string> grown(double percent) const;
  std::string to_string() const;  // a line each: the two medians

 private:
  struct Medians {
    std::uintmax_t before;
    std::uintmax_t after;
  };
  static Medians medians(const std::vector<std::uintmax_t>& samples);

  std::map<std::string, std::vector<std::uintmax_t>> samples_;
};

std::uintmax_t resident_bytes(pid_t process);
std::uintmax_t open_descriptors(pid_t process);

}  // namespace carrel::fault
