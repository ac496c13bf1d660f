#include "worker.h"

#include <carrel/sql_transaction.h>
#include <fcntl.h>
#include <signal.h>
#include <trial/child.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <iostream>
#include <thread>
#include <vector>

#include "database.h"
#include "sender.h"
#include "ways.h"

namespace sms {
namespace {

using carrel::Context;
using carrel::Json;
using carrel::Result;

// Kills this process with SIGKILL, the first of the trial's processes that comes here in
// the middle of the work.
class Killer {
 public:
  Killer(std::filesystem::path folder, bool on) : folder_(std::move(folder)), on_(on) {}
  void at(const char* place) {
    if (!on_ || ++visits_ < 10) return;
    const auto mark = folder_ / (std::string("killed ") + place);
    const int fd = ::open(mark.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) return;  // it has happened
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }

 private:
  const std::filesystem::path folder_;
  const bool on_;
  std::atomic<int> visits_{0};
};

// The heart of it: right only if nobody else comes between the first line and the last.
Result<Json> check_then_set(const Work& work, const std::string& to, Killer& killer) {
  Database& db = database(work.store);
  if (db.credits(work.community) <= 0) return Json("no credit left");
  if (auto sent = send_sms(work.gateway, to); !sent) return tl::unexpected(sent.error());
  killer.at("before the credit is taken");
  db.take_one(work.community);
  return Json("sent");
}

// Takes the credit, enqueues the delivery and completes the job: all or nothing.
Result<Json> charge(carrel::Engine& engine, const Work& work, Context& job,
                    Killer& killer) {
  Database& db = database(work.store);
  Database::Transaction transaction(db);
  if (!db.take_one_if_any(work.community)) return Json("no credit left");
  auto delivery = carrel::sql::enqueue(engine, db.session(), "deliver", job.args());
  if (!delivery) return tl::unexpected(delivery.error());
  if (auto ok = carrel::sql::complete(job, db.session(), "charged"); !ok) {
    return tl::unexpected(ok.error());
  }
  killer.at("before the commit");
  transaction.commit();
  killer.at("after the commit");
  engine.publish(*delivery);
  return Json();
}

Result<Json> deliver(const Work& work, Context& job, Killer& killer) {
  const std::string key = "sms-" + std::to_string(value(job.job().lease.id));
  if (auto sent = send_sms(work.gateway, job.args().at("to"), key); !sent) {
    return tl::unexpected(sent.error());
  }
  killer.at("after the message");
  return Json("sent");
}

void add_handlers(carrel::Engine& engine, const Work& work, Killer& killer) {
  const Action action = way(work.way).action;
  const auto handle = [&](const char* kind, auto handler) {
    if (auto ok = engine.handle(kind, std::move(handler)); !ok) {
      throw std::runtime_error(ok.error().message);
    }
  };
  if (action == Action::kReserve || action == Action::kComplete) {
    handle("deliver", [&](Context& job) { return deliver(work, job, killer); });
  }
  if (action == Action::kCheckThenSet) {
    handle("send", [&](Context& job) {
      return check_then_set(work, job.args().at("to"), killer);
    });
  } else if (action == Action::kComplete) {
    handle("send", [&](Context& job) { return charge(engine, work, job, killer); });
  }
}

// The host's own threads, as a web server has them: every second recipient is this
// process's.
void send_by_hand(carrel::Engine& engine, const Work& work, std::size_t number,
                  Killer& killer) {
  const std::size_t processes = way(work.way).processes;
  std::atomic<std::size_t> next{number};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < work.at_once / processes; ++i) {
    threads.emplace_back([&] {
      for (std::size_t to = 0; (to = next.fetch_add(processes)) < work.recipients;) {
        const auto sent = engine.hold("community:" + work.community, 1, [&] {
          return check_then_set(work, recipient(to), killer);
        });
        if (!sent) std::cerr << sent.error().message << std::endl;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::cout << "done" << std::endl;
}

int run(const std::filesystem::path& folder, std::size_t number) {
  const Work work = read_work(folder);
  Killer killer(folder, way(work.way).kill);
  auto opened = carrel::Engine::open(config_of(work));
  if (!opened) throw std::runtime_error(opened.error().message);
  carrel::Engine& engine = *opened;
  add_handlers(engine, work, killer);
  const bool by_hand = way(work.way).action == Action::kHold;
  if (auto ok = by_hand ? engine.ignite() : engine.start(); !ok) {
    throw std::runtime_error(ok.error().message);
  }
  std::cout << "ready" << std::endl;
  std::string line;
  if (std::getline(std::cin, line) && by_hand) {
    send_by_hand(engine, work, number, killer);
  }
  while (std::getline(std::cin, line)) {
  }
  engine.stop(std::chrono::seconds(10));
  return 0;
}

}  // namespace

Work read_work(const std::filesystem::path& folder) {
  std::ifstream in(folder / "work.json");
  return Json::parse(in).get<Work>();
}

std::string recipient(std::size_t number) {
  return "+49 30 " + std::to_string(1'000'000 + number);
}

carrel::Config config_of(const Work& work) {
  const Way& its = way(work.way);
  carrel::Config config;
  config.store = work.store;
  config.worker.concurrency = work.at_once;
  config.worker.queues = {work.community};
  config.worker.poll = std::chrono::milliseconds(200);
  config.log.level = carrel::LogLevel::kError;
  config.defaults.queue = work.community;
  config.defaults.retry = {std::chrono::milliseconds(20), 0,
                           std::chrono::milliseconds(20), 0.5, 0};
  auto& send = config.jobs["send"];
  send = config.defaults;
  send.isolation = its.isolation == "–" ? "thread" : its.isolation;
  if (its.limit) send.concurrency = {"community:{community}", 1};
  if (its.kill) {  // the dead are found out soon
    config.worker.lease = std::chrono::seconds(1);
    config.worker.beat = std::chrono::milliseconds(100);
  }
  return config;
}

int run_worker(const std::filesystem::path& folder, std::size_t number) {
  trial::die_with_parent();
  try {
    return run(folder, number);
  } catch (const std::exception& e) {
    std::cerr << "worker: " << e.what() << std::endl;
    return 1;
  }
}

}  // namespace sms
