// The protocol of an engine, and nothing else: receive, claim, settle, finish; peek when
// low; sweep. One call at a time and every answer looked at, so that the pair suite can
// say exactly what happened.
#pragma once

#include <carrel/queue.h>
#include <carrel/store.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace carrel::conformance {

class LittleEngine {
 public:
  // What becomes of a run; nullopt: the worker dies and says nothing more about what it
  // holds. It is born again under another name, as a process would be.
  using Work = std::function<std::optional<Finish>(const Claimed&)>;

  struct Options {
    int workers = 4;
    std::size_t at_once = 4;  // claimed by one worker at a time
    std::vector<std::string> kinds = {"work"};
    // The queues of a worker's claim of that number, the first first; null: any.
    std::function<std::vector<std::string>(std::uint64_t claim)> turn = nullptr;
    std::vector<QueueBound> bounds = {};  // of each claim
    // How many jobs a claim has brought.
    std::function<void(std::size_t)> on_claimed = [](std::size_t) {};
    Duration lease = std::chrono::hours(1'000);
    // Called by a worker between rounds, to move a clock on.
    std::function<void()> between = [] {};
  };

  // `queue` null: the store's own claim_source. All is borrowed.
  LittleEngine(Store& store, Queue* queue, Options options, Work work);
  ~LittleEngine();  // stop()
  LittleEngine(const LittleEngine&) = delete;
  LittleEngine& operator=(const LittleEngine&) = delete;

  // Commits, then publishes.
  std::vector<JobId> enqueue(std::span<const NewJob> jobs);
  void publish(std::span<const Ticket> tickets);
  void start();
  void stop();
  // Starts if need be, and stops when `done` answers true; false: a minute has passed.
  // Asked after rounds of the workers.
  bool run_until(const std::function<bool()>& done);

  std::size_t applied() const { return applied_; }
  std::size_t already() const { return already_; }
  std::size_t stale() const { return stale_; }
  std::size_t unavailable() const { return unavailable_; }

 private:
  void work(int number);
  bool run_all(std::span<const Claimed> runs);  // false: died
  Result<std::vector<Claimed>> claim(ClaimSource* source, const std::string& worker,
                                     std::uint64_t number);
  void finish(const Finish& finish);

  Store& store_;
  Queue* queue_;
  const Options options_;
  const Work work_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> applied_{0};
  std::atomic<std::size_t> already_{0};
  std::atomic<std::size_t> stale_{0};
  std::atomic<std::size_t> unavailable_{0};
  std::atomic<std::uint32_t> rounds_{0};
  std::vector<std::jthread> threads_;
};

}  // namespace carrel::conformance
