// Every case of fork and exec also asserts that nothing is left: the host has as many
// descriptors, mounts and control groups as before, the server has neither children nor
// descriptors nor mounts more than before, and a control job still runs.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "support.h"

namespace carrel::test {

class ProcessTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Made on first use, closed by TearDown before the count.
  Host& fork_host(std::size_t warm = 2);
  // For one program: its kind is "program".
  Host& exec_host(std::vector<std::string> command,
                  std::map<std::string, std::string> env = {}, std::string cwd = {});
  void close_hosts();

 private:
  std::unique_ptr<Host> fork_;
  std::unique_ptr<Host> exec_;
  std::size_t own_descriptors_ = 0;
  std::size_t own_children_ = 0;
  std::size_t server_descriptors_ = 0;
  std::string mounts_;  // of the host and of the server
  std::string groups_;  // that they are in
};

// How many descriptors that process may have open (0: this one), as long as it lives.
class DescriptorLimit {
 public:
  DescriptorLimit(pid_t pid, rlim_t soft);
  ~DescriptorLimit();
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

  // "", or the limit that leaves less.
  const std::string& missing() const { return missing_; }

 private:
  pid_t pid_;
  rlimit before_{};
  std::string missing_;
};

std::string hostile(std::string_view name);  // the path of that program
pid_t server_pid();                          // asks a job for its parent

}  // namespace carrel::test
