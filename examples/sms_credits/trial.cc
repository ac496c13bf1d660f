#include "trial.h"

#include <carrel/sql_transaction.h>
#include <trial/child.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <mutex>
#include <thread>

#include "database.h"
#include "ways.h"
#include "worker.h"
#include "workers.h"

namespace sms {
namespace {

using carrel::Json;
using std::chrono::steady_clock;

constexpr std::chrono::minutes kPatience{3};

template <class T>
T or_throw(carrel::Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

Json args_of(const Work& work, std::size_t number) {
  return {{"community", work.community}, {"to", recipient(number)}};
}

// The host's threads, each with a session: whoever gets a credit enqueues a message, in
// one transaction.
void reserve(carrel::Engine& engine, const Work& work) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::string error;
  const auto requests = [&] {
    try {
      Database db(work.store);
      for (std::size_t i = 0; (i = next++) < work.recipients;) {
        Database::Transaction transaction(db);
        if (!db.take_one_if_any(work.community)) continue;  // and rolls back
        const auto message = or_throw(
            carrel::sql::enqueue(engine, db.session(), "deliver", args_of(work, i)));
        transaction.commit();
        engine.publish(message);
      }
    } catch (const std::exception& e) {
      const std::lock_guard lock(mutex);
      error = e.what();
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(requests);
  for (std::thread& thread : threads) thread.join();
  if (!error.empty()) throw std::runtime_error(error);
}

void enqueue(carrel::Engine& engine, const Work& work) {
  std::vector<carrel::Request> requests;
  for (std::size_t i = 0; i < work.recipients; ++i) {
    requests.push_back({"send", args_of(work, i)});
  }
  for (const auto& id : engine.enqueue(requests)) std::ignore = or_throw(id);
}

// Until no job of the queue is left that will run; every one of them has completed.
void wait_for_all(carrel::Engine& engine, const Work& work) {
  carrel::Filter filter;
  filter.queue = work.community;
  filter.states = {carrel::State::kPending, carrel::State::kScheduled,
                   carrel::State::kAvailable, carrel::State::kRunning,
                   carrel::State::kRetryable};
  const auto until = steady_clock::now() + kPatience;
  while (true) {
    // The oldest are at the end: what is waited for may have enqueued others.
    const auto open = or_throw(engine.list(filter, {}, 1000));
    if (open.empty()) break;
    for (auto job = open.rbegin(); job != open.rend(); ++job) {
      const auto left =
          std::chrono::duration_cast<carrel::Duration>(until - steady_clock::now());
      std::ignore = or_throw(engine.wait(job->id, left));
    }
  }
}

TrialResult measured(const std::filesystem::path& folder) {
  const Work work = read_work(folder);
  carrel::Config config = config_of(work);
  config.role = carrel::Role::kProducer;
  config.worker.queues.clear();
  carrel::Engine engine = or_throw(carrel::Engine::open(config));
  or_throw(engine.ignite());  // makes the tables
  Database db(work.store);
  db.set(work.community, static_cast<long long>(work.credits));
  TrialResult result;
  {
    Workers workers(folder, way(work.way).processes);
    const auto start = steady_clock::now();
    workers.begin();
    switch (way(work.way).action) {
      case Action::kHold:
        workers.wait_until_done();
        break;
      case Action::kReserve:
        reserve(engine, work);
        break;
      case Action::kCheckThenSet:
      case Action::kComplete:
        enqueue(engine, work);
        break;
    }
    wait_for_all(engine, work);
    result.seconds = std::chrono::duration<double>(steady_clock::now() - start).count();
    result.kills = workers.kills();
  }
  result.left = db.credits(work.community);
  db.remove(work.community);
  return result;
}

}  // namespace

int run_trial(const std::filesystem::path& folder) {
  trial::begin(folder);
  TrialResult result;
  try {
    result = measured(folder);
  } catch (const std::exception& e) {
    result.error = e.what();
  }
  std::ofstream out(folder / "result.json");
  out << Json(result) << '\n';
  return out.flush() ? 0 : 1;
}

}  // namespace sms
