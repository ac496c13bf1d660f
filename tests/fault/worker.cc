// A worker of the kill test: runs jobs until its input ends.
//
//   carrel_fault_worker FOLDER LEASE_MS CONCURRENCY [MAX_ROWS [ISOLATION]]
//   carrel_fault_worker FOLDER      is the program of one job, of isolation "exec"
//
// Lines on stdin: "arm POINT kill|stop AFTER"; "disarm POINT", answered by "DISARMED";
// "rest", which is answered by "RESTED" when nothing runs here. MAX_ROWS: of retention.
// Each handler waits for the milliseconds that its job says, and fails the attempts that
// it says. Some complete in a transaction of the host's own, but for programs.
#include <carrel/engine.h>
#include <carrel/sql_transaction.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "child.h"
#include "host_db.h"
#include "work.h"

namespace carrel::fault {
namespace {

using conformance::Event;
using conformance::EventLog;
using conformance::hash_of;

// One attempt of a job, whatever it runs inside, as the checker hears of it.
class Attempt {
 public:
  Attempt(const Place& place, Event run, const std::string& payload)
      : log_(or_die(EventLog::open(place.log("handler")), "event log")),
        run_(std::move(run)),
        args_(Json::parse(payload)) {
    run_.kind = Event::Kind::kStart;
    run_.hash = hash_of(payload);
    log_.append(run_);
  }

  std::chrono::milliseconds time() const {
    return std::chrono::milliseconds(args_.at("ms").get<int>());
  }
  bool fails() const { return run_.attempt <= args_.at("fail").get<std::uint32_t>(); }
  bool is_completed_by_host() const {
    return fault::is_completed_by_host(args_.at("n").get<std::size_t>());
  }

  // Of some jobs, for a process of their own: another that stays for longer than anybody
  // waits. It is in its job's session, or has left that, as a daemon.
  void leave_process() const {
    const auto n = args_.at("n").get<std::size_t>();
    if (n % 4 > 1 || fork() != 0) return;
    close_range(0, ~0U, 0);  // nobody is to wait for the end of its output
    if (n % 4 == 1) {
      setsid();
      if (fork() != 0) _exit(0);
    }
    alarm(60);
    for (;;) pause();
  }

  // Just before it answers.
  Json end() {
    Json result = {{"n", args_.at("n")},
                   {"pad", args_.at("pad").get<std::string>().size()}};
    run_.kind = Event::Kind::kEnd;
    run_.hash = hash_of(result.dump());
    log_.append(run_);
    return result;
  }

 private:
  EventLog log_;
  Event run_;
  const Json args_;
};

// Some bring another job from within, without a request id and once a run: where a worker
// of this process waits, it starts with its enqueue.
void bring(Engine& engine, const Place& place, const Event& run, const Json& args) {
  const int left = args.at("brings").get<int>();
  if (left == 0) return;
  EventLog log = or_die(EventLog::open(place.log("producer")), "event log");
  const Json brought = {{"n", number_brought(run.id, run.fence)},
                        {"ms", 1},
                        {"fail", 0},
                        {"pad", "p"},
                        {"brings", left - 1}};
  Event ask = run;
  ask.kind = Event::Kind::kAsk;
  ask.key = "by-" + std::to_string(run.id) + "-" + std::to_string(run.fence);
  ask.hash = hash_of(brought.dump());
  log.append(ask);
  const auto id = engine.enqueue(kKind, brought);
  if (!id) return;  // it may be there all the same
  Event ack;
  ack.kind = Event::Kind::kAck;
  ack.key = ask.key;
  ack.id = value(*id);
  log.append(ack);
}

// Takes `time`, or less when the job is asked to stop: true.
bool stopped_within(Context& job, std::chrono::milliseconds time) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait_for(lock, job.stop(), time, [] { return false; });
  return job.stopping();
}

// In a transaction of the host's own, with a row of its own.
Result<Json> complete(Context& job, const Json& result, const std::string& host_url,
                      conformance::FaultPlan& plan) {
  static thread_local std::unique_ptr<HostDb> db;
  try {
    if (!db) db = std::make_unique<HostDb>(host_url);
    db->begin();
    db->write_completed(job.job().lease);
    if (const auto done = sql::complete(job, db->session(), result); !done) {
      db->rollback();
      return Context::error(done.error().message);
    }
    std::ignore = plan.pass(conformance::FaultPoint::kBeforeFinishCommit);
    db->commit();
    std::ignore = plan.pass(conformance::FaultPoint::kAfterFinishCommitBeforeReply);
    return Json();
  } catch (const std::exception& e) {
    db.reset();
    return Context::error(e.what());
  }
}

// `engine`: null in a process of its own.
Result<Json> work(Context& job, Engine* engine, const Place& place,
                  const std::string& host_url, conformance::FaultPlan& plan) {
  Event run;
  run.id = value(job.job().lease.id);
  run.fence = value(job.job().lease.fence);
  run.attempt = job.attempt();
  Attempt attempt(place, run, job.job().payload);
  if (engine == nullptr) {
    attempt.leave_process();
  } else {
    bring(*engine, place, run, job.args());
  }
  const bool stopped = stopped_within(job, attempt.time());
  const Json result = attempt.end();
  if (stopped) return Context::error("stopped");
  if (attempt.fails()) return Context::error("fails on purpose");
  if (!host_url.empty() && attempt.is_completed_by_host()) {
    return complete(job, result, host_url, plan);
  }
  return result;
}

// The same as a program of isolation "exec".
int work_as_program(const Place& place) {
  const auto number = [](const char* name) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::stoul(text) : 0;
  };
  Event run;
  run.id = number("CARREL_JOB_ID");
  run.fence = number("CARREL_JOB_FENCE");
  run.attempt = static_cast<std::uint32_t>(number("CARREL_JOB_ATTEMPT"));
  Attempt attempt(place, std::move(run),
                  std::string(std::istreambuf_iterator<char>(std::cin), {}));
  attempt.leave_process();
  std::this_thread::sleep_for(attempt.time());
  const Json result = attempt.end();
  if (attempt.fails()) return 1;
  std::cout << result.dump();
  return 0;
}

// A poll: nothing else says that a finish is stored.
void rest(Engine& engine) {
  for (;;) {
    const auto health = engine.health();
    if (health && health->busy == 0 && health->unflushed == 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

// As hosts do whose database may be away for a while. A poll.
void start(Engine& engine) {
  for (;;) {
    const auto started = engine.start();
    if (started) return;
    if (started.error().code != Code::kUnavailable) or_die(started, "start");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

int run(int argc, char** argv) {
  if (argc == 2) return work_as_program({argv[1]});
  if (argc < 4 || argc > 6) {
    die("usage: carrel_fault_worker FOLDER LEASE_MS CONCURRENCY [MAX_ROWS [ISOLATION]]");
  }
  die_with_parent();
  const Place place{argv[1]};
  const std::string isolation = argc == 6 ? argv[5] : "thread";
  const auto plan = std::make_shared<conformance::FaultPlan>();
  const auto answers =
      std::make_shared<EventLog>(or_die(EventLog::open(place.log("store")), "event log"));

  Config config;
  config.store = place.store();
  config.worker.concurrency = std::stoul(argv[3]);
  config.worker.lease = std::chrono::milliseconds(std::stol(argv[2]));
  config.worker.beat = config.worker.lease / 10;
  config.worker.poll = std::chrono::milliseconds(50);
  config.log.level = LogLevel::kOff;
  config.defaults.retry.base = std::chrono::milliseconds(20);
  config.defaults.retry.power = 0;
  config.retention = {std::chrono::hours(24), std::chrono::hours(24),
                      std::chrono::hours(24), argc > 4 ? std::stoul(argv[4]) : 0};
  KindConfig& kind = config.jobs[kKind] = config.defaults;
  kind.isolation = isolation;
  if (isolation == "exec") {
    kind.command = {std::filesystem::read_symlink("/proc/self/exe"), place.folder};
    kind.pass_env.emplace_back(kMark);
  }
  Engine engine =
      or_die(Engine::open(config, registry_with(place, plan, answers)), "open");
  if (isolation != "exec") {
    or_die(
        engine.handle(kKind,
                      [&place, &plan = *plan, host_url = place.host(),
                       engine = isolation == "fork" ? nullptr : &engine](Context& job) {
                        return work(job, engine, place, host_url, plan);
                      }),
        "handle");
  }
  start(engine);
  std::cout << "READY" << std::endl;

  for (std::string line; std::getline(std::cin, line);) {
    if (line == "rest") {
      rest(engine);
      std::cout << "RESTED" << std::endl;
      continue;
    }
    if (line.starts_with("disarm ")) {
      if (const auto at = conformance::parse_fault_point(line.substr(7))) {
        plan->disarm(*at);
      }
      std::cout << "DISARMED" << std::endl;
      continue;
    }
    if (!line.starts_with("arm ") || !arm(*plan, line.substr(4))) {
      die("not understood: " + line);
    }
  }
  engine.stop(std::chrono::seconds(20));
  return 0;
}

}  // namespace
}  // namespace carrel::fault

int main(int argc, char** argv) { return carrel::fault::run(argc, argv); }
