// What the tests of fork and exec share: a sink that remembers, and an isolation with a
// reactor of its own.
#pragma once

#include <carrel/isolation.h>
#include <carrel/registry.h>
#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "reactor.h"

namespace carrel::test {

// Long enough for a machine that is busy with other things; only a failure waits for it.
inline constexpr std::chrono::seconds kPatience{60};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// Jobs at once, a thousand of which a host is to bear. A sanitizer's processes are dear.
inline constexpr std::size_t kMany = kSanitized ? 250 : 1000;

// Bytes of an input that no host can have a second time. Likewise.
inline constexpr std::size_t kLargeInput =
    kSanitized ? std::size_t{128} << 20 : std::size_t{3} << 30;

class Recorder final : public RunSink {
 public:
  void on_progress(float fraction, std::string_view message) noexcept override;
  void on_checkpoint(std::string_view bytes) noexcept override;
  void on_log(std::string_view line) noexcept override;
  void on_end(Outcome outcome) noexcept override;

  // For the end; throws after `patience`.
  Outcome wait(std::chrono::seconds patience = kPatience);
  // For the news until `seen` holds; throws likewise.
  void wait_until(const std::function<bool(const Recorder&)>& seen,
                  std::chrono::seconds patience = kPatience);
  bool logged(std::string_view line) const;  // only within wait_until, or after wait
  bool ended() const;

  std::function<void()> then;  // called on the reactor at the end; set before that
  std::vector<Progress> progress;
  std::vector<std::string> checkpoints;
  std::vector<std::string> log;
  int ends = 0;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Outcome outcome_;
};

struct Started {
  std::shared_ptr<Run> run;
  std::shared_ptr<Recorder> sink;
};

class Host {
 public:
  // `name`: "fork" or "exec"; `warm`: idle forked children. Throws what the factory says.
  explicit Host(std::string_view name, std::vector<KindSpec> kinds = {},
                std::size_t warm = 2);
  ~Host();

  Limits limits;
  Started start(std::string kind, std::string payload = {});
  std::vector<Started> start_many(std::string kind, std::size_t count);
  Outcome run(std::string kind, std::string payload = {});
  Isolation& isolation() { return *isolation_; }
  // Until all that was asked of the reactor so far is done.
  void settle();
  // The reactor does nothing more until that is made ready.
  std::promise<void> hold();

 private:
  Task task(std::string kind, std::string payload, std::shared_ptr<Recorder> sink) const;
  Reactor reactor_;
  std::unique_ptr<Isolation> isolation_;
};

// A process that this one has forked, with a copy of every descriptor that is open now.
class Copies {
 public:
  Copies();
  ~Copies();
  Copies(const Copies&) = delete;
  Copies& operator=(const Copies&) = delete;

 private:
  pid_t pid_;
};

KindSpec program(std::string kind, std::vector<std::string> command);

// Polls `holds`; false after kPatience. For what nobody tells: the state of other
// processes.
bool eventually(const std::function<bool()>& holds);
// What `body` answers in a forked process of its own, whose state it may spoil; -1 where
// a signal ended that.
int status_in_child(const std::function<int()>& body);
std::size_t open_descriptors(pid_t pid);
std::size_t threads_of(pid_t pid);
std::vector<pid_t> children_of(pid_t pid);
pid_t parent_of(pid_t pid);  // 0: not known
bool exists(pid_t pid);      // one that ended but was not reaped does not count
// Of its first thread, as /proc/PID/stat has it ('T': stopped, 'Z': ended); '\0': none.
char state_of(pid_t pid);
bool sleeps(pid_t pid);  // in a system call
std::uint64_t resident_bytes_of(pid_t pid);
// What this process has in use. With a sanitizer, what is allocated: it keeps what was
// freed for a while, to see who still uses it.
std::uint64_t memory_in_use();
// How much more of this process was resident at once since this was made than then.
class Growth {
 public:
  Growth();
  std::uint64_t most() const;  // bytes

 private:
  std::uint64_t before_;
};
std::uint64_t available_bytes();                    // of the machine's memory
std::string text_of_file(const std::string& name);  // empty: it cannot be read

// The kernel counts a user's processes together, and a sandbox bounds that count:
// programs whose tests run side by side are users of their own. None of them is in the
// machine's list.
inline constexpr unsigned kOrdinaryOfProcess = 65533;
inline constexpr unsigned kOrdinaryOfSandbox = 65532;
inline constexpr unsigned kSandboxed =
    65531;  // what a root's sandboxed programs are here

// Gives up being root, for good. False: it cannot.
bool become_ordinary(unsigned user);

}  // namespace carrel::test
