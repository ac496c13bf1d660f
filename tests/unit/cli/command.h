// Runs the carrel command in a folder of its own, and hears what it says.
#pragma once

#include <carrel/types.h>
#include <gtest/gtest.h>
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace carrel::cli_test {

struct Said {
  int code = -1;    // of exit; 128 + n: it died of signal n
  std::string out;  // standard output
  std::string err;

  std::vector<std::string> lines() const;  // of standard output
  std::vector<Json> json() const;          // each line of it
};

// One that runs beside the test. Killed and reaped when it goes out of scope.
class Running {
 public:
  Running(const std::vector<std::string>& arguments, const std::filesystem::path& folder,
          const std::string& input, const std::string& program = CARREL_COMMAND);
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  // Reads standard output up to a line that holds `part`; false: it ended before.
  bool read_until(std::string_view part);
  bool hear(std::string_view part);  // the same of standard error
  void signal(int number);
  Said finish();  // reads to the end, and reaps it

 private:
  bool read_some();  // from either stream; false: both have ended
  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  Said said_;
};

class Command : public testing::Test {
 protected:
  Command();
  ~Command() override;

  void configure(const std::string& toml);  // writes ./carrel.toml
  Said carrel(const std::vector<std::string>& arguments, const std::string& input = {});
  // A script of sh, to which the command is `carrel`.
  Said shell(const std::string& script);
  Json show(const std::string& id);  // of show --json

  std::filesystem::path folder_;
};

}  // namespace carrel::cli_test
