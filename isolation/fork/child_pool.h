// The forked children of one channel, at the host's end: who waits for a job.
//
// This side makes a child's socket, keeps one end and has the server fork a child on the
// other. Starting a job is a message on it: a warm child waits for that, and one that is
// not born yet finds it there. It runs one job and ends; or, where the kind says so, a
// few jobs of that kind. A job is over when its child has said all; the child's own end
// is not waited for, but seen to. Each job goes to one child that this side has chosen,
// so it is known at any time who runs what, and a job whose child died before it read it
// goes to another. Where many children are not born yet, jobs wait here until some are.
//
// Threads: start() from any; everything else on the reactor.
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
struct Parcel;

struct WarmChild {
  std::uint64_t number = 0;
  UniqueSocket socket;
  std::uint32_t jobs = 0;  // that it has run
};

class ChildPool final : public Nursery, public std::enable_shared_from_this<ChildPool> {
 public:
  // `warm`: how many idle children there should be. `used`: how many of those that have
  // run a job, and may run another, are kept beside them.
  static std::shared_ptr<ChildPool> open(const std::shared_ptr<Channel>& channel,
                                         std::size_t warm, std::size_t used);
  ChildPool(const std::shared_ptr<Channel>& channel, std::size_t warm, std::size_t used);

  // Each goes to an idle child, or to a new one, as soon as one may be asked for.
  void start(std::span<const std::shared_ptr<ForkRun>> runs);

  // False: it does not wait here. Else it never will again.
  bool withdraw(const ForkRun& run);

  // The run is over, and its child waits for another of `kind`. One that is not wanted,
  // or waits in vain, is let go.
  void take_back(WarmChild child, const std::string& kind);

  // The run is over, and its child ends now: one that does not is killed.
  void let_go(std::uint64_t child);

  // The run is over, and its child has ended.
  void refill();

  // Ends every child that runs nothing.
  void close();

  void settle() override;
  void born() override;
  bool gone(const Reply& reply) override;
  void lost() override;

 private:
  using Clock = std::chrono::steady_clock;
  struct UsedChild {
    WarmChild child;
    Clock::time_point since;
  };
  // Children that are asked for in one go: until then this side has both ends of each.
  static constexpr std::size_t kMostAtOnce = 64;
  // How long a child that has run a job waits for the next one.
  static constexpr auto kUsedFor = std::chrono::seconds(1);
  // How long a child that has said all may take to end.
  static constexpr auto kLeaveWithin = std::chrono::seconds(1);
  // How long no child is asked for after one could not be had, if no job needs it.
  static constexpr auto kSetback = std::chrono::milliseconds(100);

  // Of assign(): it is to wait until more children are born.
  static constexpr int kNoRoom = -1;
  using Refused = std::vector<std::pair<std::shared_ptr<ForkRun>, int>>;
  static void refuse(const Refused& runs);
  void start_waiting();  // on the reactor

  // With the mutex held.
  // 0, kNoRoom, or errno. 0: it is attached to its child, and the last of `parcels` is to
  // be sent.
  int assign(const std::shared_ptr<ForkRun>& run, std::vector<Parcel>& parcels);
  int wait_or(int error) const;
  int conceive(WarmChild& out);  // likewise; it is asked for by ask()
  bool pop_idle(const std::string& kind, WarmChild& out);
  bool forget_idle(std::uint64_t child);
  void forget_all();
  void ask();
  void ask_for_children_of_jobs();
  void ask_for_births();
  void set_back();
  void expire_used_later();
  void expire_used();                // without it
  void leaves(std::uint64_t child);  // it was told to end, or ends by itself
  void see_out_later();
  void see_out();  // without it

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
  std::size_t used_count_ = 0;
  std::deque<WarmChild> fresh_;                        // the oldest first
  std::map<std::string, std::deque<UsedChild>> used_;  // by kind; the newest first
  std::vector<Birth> births_;                          // not asked for yet
  std::size_t unborn_ = 0;  // at most: those that are not known to be born
  std::map<std::uint64_t, std::shared_ptr<ForkRun>> waiting_;  // for room, by place
  std::uint64_t last_place_ = 0;
  std::unordered_map<std::uint64_t, Clock::time_point> leaving_;  // since when
};

}  // namespace carrel::process
