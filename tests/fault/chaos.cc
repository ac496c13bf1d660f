#include "chaos.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace carrel::fault {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr milliseconds kLease = 1s;
constexpr std::size_t kWorkers = 3;
constexpr std::size_t kChunks = 20;  // of the jobs, a producer each
constexpr auto kPatience = 60s;
// A keeper gives its server 5 s to end all jobs; the rest is for a machine that is busy.
constexpr auto kSurvival = 10s;

void require(bool holds, const char* otherwise) {
  if (!holds) throw std::runtime_error(otherwise);
}

}  // namespace

enum class Chaos::Fault {
  kKillWorkerAtPoint,
  kKillWorkerAtRandom,
  kKillProducerAtPoint,
  kKillProducerAtRandom,
  kStopWorkerAtPoint,
  kStopWorkerAtRandom,
  kRestartServer,
  kKillServer,
  kBreakNetwork,
};

Chaos::Chaos(const DatabaseKind& kind, ChaosOptions options)
    : options_(options), database_(kind.start({.folder = place_.folder})) {
  if (kind.has_server) proxy_ = std::make_unique<TcpProxy>(database_->port());
  std::ofstream(place_.folder / "store")
      << (proxy_ ? database_->url(proxy_->port()) : database_->url()) << "\n";
  std::ofstream(place_.folder / "host") << database_->url() << "\n";
  store_ = or_die(open_store(database_->url()), "open");
  HostDb(database_->url()).make_tables();
  if (options_.witness) witness_.emplace(worker());
}

milliseconds Chaos::some(milliseconds least, milliseconds most) {
  return milliseconds(std::uniform_int_distribution<milliseconds::rep>(
      least.count(), most.count())(random_));
}

Child Chaos::worker() const {
  Child child({FAULT_WORKER, place_.folder.string(), std::to_string(kLease.count()), "6",
               std::to_string(options_.max_rows), options_.isolation});
  require(child.has_output(kPatience) && child.wait_line() == "READY",
          "a worker did not start");
  return child;
}

// It has ended: so has soon whatever came of it.
void Chaos::see_off(const Child& worker) {
  const auto since = std::chrono::steady_clock::now();
  std::string left;
  for (const std::string& process : worker.wait_all_gone(kSurvival)) {
    left += " " + process;
  }
  if (!left.empty()) throw std::runtime_error("what survived its worker:" + left);
  slowest_end_ =
      std::max(slowest_end_,
               std::chrono::ceil<milliseconds>(std::chrono::steady_clock::now() - since));
}

// Starts the producer of the next chunk, with a fault where one is given.
void Chaos::produce(const std::string& point) {
  finish_producer();
  if (next_chunk_ == kChunks) return;
  const std::size_t from = first_ + jobs_ * next_chunk_ / kChunks;
  const std::size_t to = first_ + jobs_ * (next_chunk_ + 1) / kChunks;
  ++next_chunk_;
  command_ = {FAULT_PRODUCER, place_.folder.string(), std::to_string(from),
              std::to_string(to)};
  std::vector<std::string> faulty = command_;
  if (!point.empty()) {
    faulty.insert(faulty.end(), {point, "kill", std::to_string(pick(10))});
  }
  producer_.emplace(faulty);
}

// Asks again until the chunk is enqueued.
void Chaos::finish_producer() {
  while (producer_) {
    const auto status = producer_->wait_end(kPatience);
    require(status.has_value(), "a producer hangs");
    producer_.reset();
    if (WIFSIGNALED(*status) && WTERMSIG(*status) == SIGKILL) {
      producer_.emplace(command_);
    } else {
      require(*status == 0, "a producer failed");
    }
  }
}

void Chaos::kill_worker(const std::string& point) {
  Child& victim = workers_[pick(kWorkers)];
  if (point.empty()) {
    std::this_thread::sleep_for(some(10ms, 150ms));  // at random, to wait for nothing
    victim.signal(SIGKILL);
  } else {
    victim.tell("arm " + point + " kill " + std::to_string(pick(4)));
    if (victim.wait_end(3s)) {
      ++at_named_points_;
    } else {
      victim.signal(SIGKILL);  // it had no job to do
    }
  }
  const auto status = victim.wait_end(kPatience);
  require(status && WIFSIGNALED(*status) && WTERMSIG(*status) == SIGKILL,
          "a worker ended by itself");
  see_off(victim);
  victim = worker();
}

void Chaos::kill_producer(const std::string& point) {
  produce(point);
  if (point.empty()) {
    std::this_thread::sleep_for(some(5ms, 60ms));  // at random
    producer_->signal(SIGKILL);
  } else if (const auto status = producer_->wait_end(kPatience);
             status && WIFSIGNALED(*status)) {
    ++at_named_points_;
  }
}

// It may stop itself once more before it hears.
void Chaos::disarm(Child& victim, const std::string& point) {
  victim.tell("disarm " + point);
  while (!victim.has_output(5ms)) {
    if (victim.wait_stopped(0ms)) victim.signal(SIGCONT);
  }
  require(victim.wait_line() == "DISARMED", "a worker ended by itself");
}

void Chaos::stop_worker(const std::string& point) {
  Child& victim = workers_[pick(kWorkers)];
  bool stopped = false;
  if (!point.empty()) {
    victim.tell("arm " + point + " stop 0");
    stopped = victim.wait_stopped(3s);
    at_named_points_ += stopped ? 1 : 0;
  }
  if (!stopped) {
    // It had no job to finish. Later, it would stop with nobody to let it go on, and with
    // whatever it holds: the turn to write a file, which all others wait for.
    if (!point.empty()) disarm(victim, point);
    victim.signal(SIGSTOP);
    require(victim.wait_stopped(kPatience), "a worker does not stop");
  }
  // The fault itself: silence for one to three leases.
  std::this_thread::sleep_for(some(kLease * 12 / 10, kLease * 3));
  victim.signal(SIGCONT);
}

// Of all processes at once, for about as long as a lease: whoever could not renew one has
// lost it, and some of what they sent was done, though they never heard.
void Chaos::break_network() {
  static const std::vector<TcpProxy::Mode> kWays = {
      TcpProxy::Mode::kCut, TcpProxy::Mode::kDelay, TcpProxy::Mode::kBlackHole,
      TcpProxy::Mode::kHalfOpen};
  std::this_thread::sleep_for(some(5ms, 100ms));  // at random
  proxy_->set(kWays[pick(kWays.size())]);
  std::this_thread::sleep_for(some(kLease / 2, kLease * 2));  // the fault itself
  proxy_->set(TcpProxy::Mode::kPass);
}

std::vector<Chaos::Fault> Chaos::plan(const Amount& amount) {
  std::vector<Fault> plan;
  // Each producer fault takes a chunk of jobs of its own.
  const std::size_t by_producer = std::min(amount.kills / 3, kChunks / 2);
  for (std::size_t i = 0; i < amount.kills; ++i) {
    const bool named = i % 2 == 0;
    if (i < by_producer) {
      plan.push_back(named ? Fault::kKillProducerAtPoint : Fault::kKillProducerAtRandom);
    } else {
      plan.push_back(named ? Fault::kKillWorkerAtPoint : Fault::kKillWorkerAtRandom);
    }
  }
  for (std::size_t i = 0; i < amount.stops; ++i) {
    plan.push_back(i % 2 == 0 ? Fault::kStopWorkerAtPoint : Fault::kStopWorkerAtRandom);
  }
  for (std::size_t i = 0; i < amount.restarts; ++i) {
    plan.push_back(pick(2) == 0 ? Fault::kRestartServer : Fault::kKillServer);
  }
  plan.insert(plan.end(), amount.cuts, Fault::kBreakNetwork);
  std::shuffle(plan.begin(), plan.end(), random_);
  return plan;
}

void Chaos::happen(Fault fault) {
  static const std::vector<std::string> kWorkerPoints = {
      "after_claim_commit", "before_finish_commit", "after_finish_commit_before_reply",
      "before_insert_commit", "after_insert_commit"};
  static const std::vector<std::string> kProducerPoints = {"before_insert_commit",
                                                           "after_insert_commit"};
  switch (fault) {
    case Fault::kKillWorkerAtPoint:
      // In processes of their own no runs bring jobs.
      return kill_worker(kWorkerPoints[pick(kWorkerPoints.size() -
                                            (options_.isolation == "thread" ? 0 : 2))]);
    case Fault::kKillWorkerAtRandom:
      return kill_worker({});
    case Fault::kKillProducerAtPoint:
      return kill_producer(kProducerPoints[pick(kProducerPoints.size())]);
    case Fault::kKillProducerAtRandom:
      return kill_producer({});
    case Fault::kStopWorkerAtPoint:
      return stop_worker("before_finish_commit");
    case Fault::kStopWorkerAtRandom:
      return stop_worker({});
    case Fault::kRestartServer:
    case Fault::kKillServer:
      std::this_thread::sleep_for(some(5ms, 200ms));  // at random
      // At once, as after a crash.
      return database_->restart(fault == Fault::kRestartServer ? "QUIT" : "KILL");
    case Fault::kBreakNetwork:
      return break_network();
  }
}

// A poll, which gives up when nothing has become final for a minute.
void Chaos::wait_until_final() {
  std::uint64_t left = ~std::uint64_t{0};
  std::string states;  // of them
  auto end = std::chrono::steady_clock::now() + kPatience;
  while (left > 0) {
    std::this_thread::sleep_for(50ms);
    std::uint64_t now = 0;
    if (const auto counts = store_->monitor().counts()) {
      states.clear();
      for (std::size_t s = 0; s < kStateCount; ++s) {
        const auto state = static_cast<State>(s);
        if (is_final(state) || counts->total[s] == 0) continue;
        now += counts->total[s];
        states += " " + std::to_string(counts->total[s]) + " " +
                  std::string(to_string(state)) + ",";
      }
    } else {
      now = left;
      states = " " + counts.error().message;
    }
    if (now < left) end = std::chrono::steady_clock::now() + kPatience;
    left = std::min(now, left);
    if (std::chrono::steady_clock::now() > end) {
      throw std::runtime_error("the workers rest, and " + std::to_string(left) +
                               " jobs are not final:" + states);
    }
  }
}

void Chaos::end_workers() {
  for (Child& w : workers_) w.end_input();
  for (Child& w : workers_) {
    require(w.wait_end(kPatience) == 0, "a worker does not end as it should");
    see_off(w);
  }
  workers_.clear();
  if (!witness_) return;
  witness_->tell("rest");
  require(witness_->wait_line() == "RESTED", "the witness is gone");
}

Chaos::Outcome Chaos::round(const Amount& amount, unsigned seed) {
  random_.seed(seed);
  first_ += jobs_;
  jobs_ = amount.jobs;
  next_chunk_ = 0;
  at_named_points_ = 0;
  slowest_end_ = {};
  for (const char* who : kLogs) {  // the witness goes on writing at their ends
    if (exists(place_.log(who))) std::filesystem::resize_file(place_.log(who), 0);
  }
  for (std::size_t i = 0; i < kWorkers; ++i) workers_.push_back(worker());
  const std::vector<Fault> faults = plan(amount);
  for (std::size_t i = 0; i < faults.size(); ++i) {
    // Jobs keep coming as long as faults do, so that each meets work under way. Chunks
    // that a producer's fault will take are left to it.
    const auto ahead = static_cast<std::size_t>(
        std::count_if(faults.begin() + static_cast<long>(i), faults.end(), [](Fault f) {
          return f == Fault::kKillProducerAtPoint || f == Fault::kKillProducerAtRandom;
        }));
    const std::size_t due = (i + 1) * kChunks / faults.size();
    if (next_chunk_ < due + 1 && next_chunk_ + ahead < kChunks) produce();
    happen(faults[i]);
  }
  while (next_chunk_ < kChunks) produce();
  finish_producer();
  wait_until_final();
  end_workers();
  Outcome outcome;
  outcome.report = or_die(conformance::check(*store_, events_of(place_), last_), "check");
  const HostJobs host_jobs = {
      is_enqueued_by_host, [exec = options_.isolation == "exec"](std::size_t n) {
        return !exec && is_completed_by_host(n);  // a program has no transaction
      }};
  outcome.host =
      check_host(*store_, HostDb(database_->url()).take_rows(), host_jobs, last_);
  outcome.report.broken.insert(outcome.report.broken.end(), outcome.host.broken.begin(),
                               outcome.host.broken.end());
  outcome.faults = faults.size();
  outcome.at_named_points = at_named_points_;
  outcome.slowest_end = slowest_end_;
  const auto newest = or_die(store_->monitor().list({}, {}, 1), "list");
  if (!newest.empty()) last_ = newest.front().id;
  return outcome;
}

}  // namespace carrel::fault
