// Chaos: workers and producers on one database that die by kill -9 at named points and at
// random, are stopped for longer than a lease, whose server is restarted under them, and
// whose way to it breaks; then the checker looks for what was lost or done twice.
#pragma once

#include <carrel/conformance/checker.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "child.h"
#include "database.h"
#include "folder.h"
#include "host_check.h"
#include "tcp_proxy.h"
#include "work.h"

namespace carrel::fault {

// Of one round.
struct Amount {
  std::size_t jobs = 0;
  std::size_t kills = 0;
  std::size_t stops = 0;
  std::size_t restarts = 0;  // of the server, if there is one
  std::size_t cuts = 0;      // of the way to it; also delays, black holes, half-open ends
};

struct ChaosOptions {
  // One more worker, which no fault meets and which lives from round to round.
  bool witness = false;
  // Of the jobs: "thread", "fork", "exec".
  std::string isolation = "thread";
  // Workers keep about so many final rows; more than two rounds' jobs. 0: all.
  std::size_t max_rows = 0;
};

// Threads: one at a time. Everything it has started is gone with it. Calls throw
// std::runtime_error where the processes do not do what such processes always do: a
// worker that hangs, or ends by itself, or is survived by a process of its own.
class Chaos {
 public:
  explicit Chaos(const DatabaseKind& kind, ChaosOptions options = {});

  struct Outcome {
    conformance::CheckReport report;  // of the round's jobs
    HostReport host;                  // likewise; what is broken is told in `report`
    std::size_t faults = 0;
    std::size_t at_named_points = 0;
    // From the end of a worker to that of the last process that had come of it.
    std::chrono::milliseconds slowest_end{0};
  };
  // Jobs come as long as faults do; returns when all are final, and no worker but the
  // witness is left. The same seed makes the same faults.
  Outcome round(const Amount& amount, unsigned seed);

  Database& database() { return *database_; }
  pid_t witness() const { return witness_->pid(); }
  const Place& place() const { return place_; }  // the events are of the last round

 private:
  enum class Fault;

  std::chrono::milliseconds some(std::chrono::milliseconds least,
                                 std::chrono::milliseconds most);
  std::size_t pick(std::size_t n) { return random_() % n; }

  Child worker() const;
  void see_off(const Child& worker);
  void produce(const std::string& point = {});
  void finish_producer();
  void kill_worker(const std::string& point);
  void kill_producer(const std::string& point);
  void stop_worker(const std::string& point);
  void break_network();
  static void disarm(Child& victim, const std::string& point);
  std::vector<Fault> plan(const Amount& amount);
  void happen(Fault fault);
  void wait_until_final();
  void end_workers();

  const ChaosOptions options_;
  const Folder folder_;
  const Place place_{folder_.path()};
  const std::unique_ptr<Database> database_;
  std::unique_ptr<TcpProxy>
      proxy_;  // of the workers and producers, where it has a server
  std::unique_ptr<Store> store_;
  std::optional<Child> witness_;
  std::mt19937 random_;
  JobId last_{};           // of the rounds before
  std::size_t first_ = 0;  // number of this round's first job

  // Of the round.
  std::size_t jobs_ = 0;
  std::vector<Child> workers_;
  std::optional<Child> producer_;
  std::vector<std::string> command_;  // of the producer, without its fault
  std::size_t next_chunk_ = 0;
  std::size_t at_named_points_ = 0;
  std::chrono::milliseconds slowest_end_{0};
};

}  // namespace carrel::fault
