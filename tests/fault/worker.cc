// A worker of the kill test: runs jobs until its input ends.
//
//   carrel_fault_worker FOLDER LEASE_MS CONCURRENCY [MAX_ROWS]
//
// Lines on stdin: "arm POINT kill|stop AFTER"; "disarm POINT", answered by "DISARMED";
// "rest", which is answered by "RESTED" when nothing runs here. MAX_ROWS: of retention.
// Each handler waits for the milliseconds that its job says, and fails the attempts that
// it says.
#include <carrel/engine.h>

#include <chrono>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>

#include "work.h"

namespace carrel::fault {
namespace {

using conformance::Event;
using conformance::EventLog;
using conformance::hash_of;

Event of_run(Event::Kind kind, const Claimed& job) {
  Event event;
  event.kind = kind;
  event.id = value(job.lease.id);
  event.fence = value(job.lease.fence);
  event.attempt = job.attempt;
  return event;
}

// Takes `ms`, or less when the job is asked to stop: true.
bool stopped_within(Context& job, int ms) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait_for(lock, job.stop(), std::chrono::milliseconds(ms), [] { return false; });
  return job.stopping();
}

Result<Json> work(Context& job, EventLog& log) {
  Event start = of_run(Event::Kind::kStart, job.job());
  start.hash = hash_of(job.job().payload);
  log.append(start);
  const bool stopped = stopped_within(job, job.args().at("ms").get<int>());
  const bool fails = job.attempt() <= job.args().at("fail").get<int>();
  const Json result = {{"n", job.args().at("n")},
                       {"pad", job.args().at("pad").get<std::string>().size()}};
  Event end = of_run(Event::Kind::kEnd, job.job());
  end.hash = hash_of(result.dump());
  log.append(end);
  if (stopped) return Context::error("stopped");
  if (fails) return Context::error("fails on purpose");
  return result;
}

// A poll: nothing else says that a finish is stored.
void rest(Engine& engine) {
  for (;;) {
    const auto health = engine.health();
    if (health && health->busy == 0 && health->unflushed == 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

int run(int argc, char** argv) {
  if (argc != 4 && argc != 5) {
    die("usage: carrel_fault_worker FOLDER LEASE_MS CONCURRENCY [MAX_ROWS]");
  }
  die_with_parent();
  const Place place{argv[1]};
  const auto plan = std::make_shared<conformance::FaultPlan>();
  const auto answers =
      std::make_shared<EventLog>(or_die(EventLog::open(place.log("store")), "event log"));
  EventLog handled = or_die(EventLog::open(place.log("handler")), "event log");

  Config config;
  config.store = "tested:";
  config.worker.concurrency = std::stoul(argv[3]);
  config.worker.lease = std::chrono::milliseconds(std::stol(argv[2]));
  config.worker.beat = config.worker.lease / 10;
  config.worker.poll = std::chrono::milliseconds(50);
  config.log.level = LogLevel::kOff;
  config.defaults.retry.base = std::chrono::milliseconds(20);
  config.defaults.retry.power = 0;
  config.retention = {std::chrono::hours(24), std::chrono::hours(24),
                      std::chrono::hours(24), argc == 5 ? std::stoul(argv[4]) : 0};
  Engine engine =
      or_die(Engine::open(config, registry_with(place, plan, answers)), "open");
  or_die(engine.handle(kKind, [&](Context& job) { return work(job, handled); }),
         "handle");
  or_die(engine.start(), "start");
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
