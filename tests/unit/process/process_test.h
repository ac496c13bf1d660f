// Every case of fork and exec also asserts that nothing is left: the host has as many
// descriptors, mounts and control groups as before, the server has neither children nor
// descriptors nor mounts more than before, and a control job still runs.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "os.h"
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

// A limit of that process (0: this one), as long as this lives.
class ProcessLimit {
 public:
  // `name`: of the resource, for missing().
  ProcessLimit(pid_t pid, __rlimit_resource resource, const char* name, rlim_t soft);
  ~ProcessLimit();
  ProcessLimit(const ProcessLimit&) = delete;
  ProcessLimit& operator=(const ProcessLimit&) = delete;

  // "", or the hard limit, where that does not leave so much and cannot be raised.
  const std::string& missing() const { return missing_; }

 private:
  const pid_t pid_;
  const __rlimit_resource resource_;
  rlimit before_{};
  std::string missing_;
};

// How many descriptors it may have open.
class DescriptorLimit : public ProcessLimit {
 public:
  DescriptorLimit(pid_t pid, rlim_t soft)
      : ProcessLimit(pid, RLIMIT_NOFILE, "RLIMIT_NOFILE", soft) {}
};

// Who has one has an input of kLargeInput by itself, of all programs of tests.
class LargeInputTurn {
 public:
  LargeInputTurn();

 private:
  process::UniqueFd lock_;
};

// Skips a case with such an input where the machine has no room for it.
#define REQUIRE_ROOM_FOR_LARGE_INPUT()                                   \
  const LargeInputTurn turn;                                             \
  if (available_bytes() < kLargeInput + (std::size_t{1} << 30)) {        \
    GTEST_SKIP() << "memory: " << ((kLargeInput >> 20) + 1024)           \
                 << " MiB are needed, and " << (available_bytes() >> 20) \
                 << " are available";                                    \
  }                                                                      \
  static_cast<void>(0)

// The server is killed while `job` of `host` runs, and its keeper does nothing meanwhile:
// whether the job's end was told before what it had started was gone.
bool told_too_early(Host& host, const Started& job);

std::string hostile(std::string_view name);  // the path of that program
pid_t server_pid();                          // asks a job for its parent

}  // namespace carrel::test
