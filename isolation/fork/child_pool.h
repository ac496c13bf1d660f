// The forked children of one channel, at the host's end: who waits for a job, and which
// jobs wait for a child.
//
// A child is warm: forked before its job came, it waits on a socket of its own, and
// starting a job is a message on it. It runs one job and ends, and the server forks
// another; or, where the kind says so, a few jobs of that kind. A job is over when its
// child has said all; the child's own end is not waited for, but seen to. Each job goes
// to one child that this side has chosen, so it is known at any time who runs what, and a
// job whose child died before it read it goes to another.
//
// Threads: start() and withdraw() from any; everything else on the reactor.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "channel.h"
#include "child_run.h"

namespace carrel::process {

class ForkRun;

struct WarmChild {
  std::uint64_t number = 0;
  UniqueFd socket;
  std::uint32_t jobs = 0;  // that it has run
};

class ChildPool final : public Nursery, public std::enable_shared_from_this<ChildPool> {
 public:
  // `warm`: how many idle children there should be. `used`: how many of those that have
  // run a job, and may run another, are kept beside them.
  static std::shared_ptr<ChildPool> open(const std::shared_ptr<Channel>& channel,
                                         std::size_t warm, std::size_t used);
  ChildPool(const std::shared_ptr<Channel>& channel, std::size_t warm, std::size_t used);

  // Each goes to an idle child, or waits for one.
  void start(std::span<const std::shared_ptr<ForkRun>> runs);
  // True: it waited, and is the caller's to end now.
  bool withdraw(const ForkRun& run);

  // The run is over, and its child waits for another of `kind`.
  void take_back(WarmChild child, const std::string& kind);

  // The run is over, and its child ends now: one that does not is killed.
  void let_go(std::uint64_t child);

  // Ends every child that runs nothing.
  void close();

  void ready(std::uint64_t child, UniqueFd socket) override;
  void settle() override;
  bool gone(const Reply& reply) override;
  void lost() override;

 private:
  using Clock = std::chrono::steady_clock;
  struct UsedChild {
    WarmChild child;
    Clock::time_point since;
  };
  struct Refused {
    std::shared_ptr<ForkRun> run;
    int error = 0;
  };
  // How long a child that has run a job waits for the next one.
  static constexpr auto kUsedFor = std::chrono::seconds(1);
  // How long a child that has said all may take to end.
  static constexpr auto kLeaveWithin = std::chrono::seconds(1);
  // How long no child is asked for after one could not be had, if no job needs it.
  static constexpr auto kSetback = std::chrono::milliseconds(100);

  // With the mutex held.
  bool assign(const std::shared_ptr<ForkRun>& run, std::vector<Refused>& refused);
  void serve_waiting(std::vector<Refused>& refused);
  bool pop_idle(const std::string& kind, WarmChild& out);
  bool forget_idle(std::uint64_t child);
  void ask();
  void set_back();
  void expire_used_later();
  void expire_used();  // without it
  void see_out_later();
  void see_out();  // without it

  static void refuse(std::vector<Refused>& refused);

  Channel& channel() const noexcept { return *channel_; }

  const std::shared_ptr<Channel> channel_;
  const std::size_t warm_;
  const std::size_t most_used_;
  boost::asio::steady_timer used_timer_;     // on the reactor
  boost::asio::steady_timer setback_timer_;  // on the reactor
  boost::asio::steady_timer leaving_timer_;  // on the reactor

  std::mutex mutex_;
  bool closed_ = false;
  bool set_back_ = false;
  bool expiring_ = false;
  bool seeing_out_ = false;
  bool hurried_ = false;    // the server knows that a job waits
  std::size_t coming_ = 0;  // children that the server was asked for and has not told of
  std::size_t used_count_ = 0;
  std::deque<WarmChild> fresh_;                        // the oldest first
  std::map<std::string, std::deque<UsedChild>> used_;  // by kind; the newest first
  std::deque<std::shared_ptr<ForkRun>> waiting_;
  std::unordered_map<std::uint64_t, Clock::time_point> leaving_;  // since when
};

}  // namespace carrel::process
