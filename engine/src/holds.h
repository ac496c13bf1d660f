// Holds: places at keyed limits for the host's own code.
//
// A place is a row of the store like a job's: inserted with its limit, claimed, kept by
// beats and finished. Its kind names this engine, so that it stands in a lane that nobody
// else claims from: who died waiting holds nobody up. It has one attempt: who died
// holding is discarded when the lease ends, by whoever sweeps.
//
// A place that is free at once is claimed by the caller. Else a thread, "carrel-hold",
// claims for all that wait here; it also beats, finishes what could not be finished, and
// sweeps while somebody waits, since there may be no worker that does. Another,
// "carrel-fence", never calls the store: it tells holders in time that their lease ends,
// also while a call of the store does not come back. Both are made by the first hold.
#pragma once

#include <carrel/store.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "door.h"
#include "stop_teller.h"

namespace carrel {

// A queue of tickets has nobody who would take those of holds.
void drop_holds(std::vector<Ticket>& tickets);

class Holds {
 public:
  struct Setup {
    Duration lease;
    Duration beat;
    Duration poll;
    std::function<void(std::vector<Ticket>)> publish;  // of jobs that became available
    LogFn log;
  };
  Holds(Store& store, Setup setup);
  ~Holds();  // close()
  // Waits for those that are in hold(), who give up, but for code that holds: that may be
  // a handler's that was abandoned. It is told that its place is lost. Tells the store
  // what is left to tell, and calls it no more. Idempotent, by one thread at a time.
  void close();

  using Run = std::function<void(const std::stop_token&)>;
  // Engine::hold, without its value. What `run` throws comes through.
  Result<void> hold(const Limit& limit, const Run& run, Duration wait,
                    const std::stop_token& give_up);
  // Who waits now gives up: kCancelled.
  void interrupt();

 private:
  using Steady = std::chrono::steady_clock;
  struct Place {
    std::uint64_t number = 0;
    JobId id{};
    std::condition_variable changed;
    std::uint64_t interrupts = 0;  // as it began
    bool granted = false;
    bool gone = false;      // the row is final, and was never granted
    bool given_up = false;  // the caller's token says so
    bool queued = false;    // the thread claims for it
    bool ended = false;     // its code has run
    bool told = false;      // that the place is lost, or was cancelled
    Lease lease;
    Duration renewed{0};  // on boot_time, before the call that did it
    std::stop_source lost;
  };
  using PlacePtr = std::shared_ptr<Place>;
  using Lock = std::unique_lock<std::mutex>;
  // A place that a hold has given up, or could not finish: the thread ends it.
  struct Rest {
    Finish finish;
    PlacePtr place;
  };

  static Finish finish_of(const Lease& lease, Verdict verdict);
  Result<void> enter(const PlacePtr& place, const Limit& limit, Steady::time_point until);
  Result<Inserted> insert(const PlacePtr& place, const Limit& limit, Duration wait);
  // True: somebody of this engine has claimed it.
  bool claim_now(const Ticket& ticket);
  Result<void> give_up(Lock& lock, const PlacePtr& place, const Limit& limit);
  Result<void> leave(const PlacePtr& place);

  // All with the lock held; those that take it give it up meanwhile.
  std::uint64_t begin_claim();
  void end_claim(std::uint64_t number, bool answered);
  void grant(const Claimed& claimed);
  void wake_thread();
  Result<void> start_threads();
  bool idle() const;
  // The store does not let this engine claim, as a broker does whose key is a producer's.
  bool refused() const;
  void claim_for_all(Lock& lock, Steady::time_point until);
  Duration beat(Lock& lock);  // how long to wait, from its start on, until the next
  void end_rests(Lock& lock);
  void look_around(Lock& lock);

  Result<std::vector<Claimed>> claim(const Demand& demand, std::uint64_t number,
                                     Duration wait);
  void work();
  void guard();

  Store& store_;
  const Setup setup_;
  const std::string worker_;
  const std::vector<std::string> queues_;
  const std::vector<std::string> kinds_;
  const Duration tick_;
  std::unique_ptr<ClaimSource> source_;  // nullptr: the store has none, or is closed

  // Callers are inside, but for those whose code holds: who comes back from such code may
  // find that this is closed, and the store gone.
  const std::shared_ptr<Door> door_ = std::make_shared<Door>();
  std::mutex mutex_;
  std::condition_variable wake_;        // the thread
  std::condition_variable guard_wake_;  // the fence
  bool closing_ = false;
  std::uint64_t interrupts_ = 0;
  std::uint64_t places_ = 0;                   // made so far: each has a number
  std::map<std::uint64_t, PlacePtr> waiting_;  // by number, in order of arrival
  std::size_t queued_ = 0;                     // of them wait for the thread to claim
  std::map<std::uint64_t, PlacePtr> held_;     // named in beats
  std::vector<Rest> rests_;
  std::uint64_t last_claim_ = 0;
  std::set<std::uint64_t> claiming_;  // numbers without an answer yet
  std::uint64_t lost_claim_ = 0;  // the last whose answer is lost; 0: none, or what it
                                  // took is free by now
  // When that lease is over: a beat before may pass over what others hold something of.
  Duration lost_until_{0};
  std::optional<Error> away_;  // why the last claim failed
  StopTeller teller_;
  std::thread thread_;
  std::thread guard_;
};

}  // namespace carrel
