// This program run again as a host of its own, for what a host cannot do to itself: be
// killed, or live on a machine that lacks something.
#pragma once

#include <sys/types.h>

#include <string>

#include "os.h"

namespace carrel::test {

// So many processes of a bomb are there when somebody ends it.
inline constexpr std::size_t kCrowd = 100;

class OtherHost {
 public:
  // "bomb": runs one, prints "lit" and the process server's number. "no-namespaces",
  // "masked-proc": makes an engine where that is so, and prints how it went.
  // "without-proc": what a program there finds in /proc, if that may be missing.
  // "full:GROUP": a job in a group below that, prints "ready", and when it is told to
  // go on closes its engine and ends at once. "restricted": the same, without a group,
  // and the job leaves many files.
  explicit OtherHost(const std::string& mode);
  ~OtherHost();
  std::string read_line();
  void go_on() { input_.reset(); }
  // Until it has ended, and its process server with all that this started.
  void wait_for_all();
  void kill();

 private:
  pid_t pid_ = -1;
  process::UniqueFd input_;
  process::UniqueFd output_;
};

// In that run: plays the mode. The exit code.
int play_host(const std::string& mode);

}  // namespace carrel::test
