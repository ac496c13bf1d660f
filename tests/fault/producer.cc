// A producer of the kill test: enqueues the jobs numbered FROM to TO - 1, in batches,
// each under a request id of its own, so that whoever is started again after a kill may
// ask again; some of them in transactions of a host's own.
//
//   carrel_fault_producer FOLDER FROM TO [POINT kill|stop AFTER]
#include <carrel/engine.h>
#include <carrel/sql_transaction.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "host_db.h"
#include "work.h"

namespace carrel::fault {
namespace {

using conformance::Event;
using conformance::EventLog;

const std::vector<State> kActive = {State::kPending, State::kScheduled, State::kAvailable,
                                    State::kRunning, State::kRetryable};

// The same for every producer that asks for job n. One in a hundred takes longer than a
// lease, so that who was stopped finishes it while somebody else is running it. One in
// five, those among them, has a key of which few may run, one in twenty a key of which
// few may begin. One in four has a unique key, which the next one asks for, too, and
// later others: half of them while its job is not final, half for a time. Of one in
// sixteen the run brings another, and the run of that one, three in all.
Request request(std::size_t n) {
  std::mt19937 random(static_cast<unsigned>(n));
  Request request;
  request.kind = kKind;
  request.args = {{"n", n},
                  {"ms", n % 100 == 7 ? 1'000 + random() % 1'500 : random() % 50},
                  {"fail", random() % 50 == 0 ? 1 : 0},
                  {"pad", std::string(random() % 300, 'p')},
                  {"brings", n % 16 == 6 ? 3 : 0}};
  request.options.request_id = "request-" + std::to_string(n);
  if (n % 5 == 2) request.options.limit = {"limit-" + std::to_string(n / 5 % 8), 3};
  if (n % 20 == 3) {
    request.options.rate =
        Rate{"rate-" + std::to_string(n / 20 % 2), 2, std::chrono::milliseconds(100)};
  }
  if (n % 4 == 1) {
    UniqueConfig unique{{"args.unique"}, Duration{0}, kActive};
    if (n % 8 == 5) {
      unique.period = std::chrono::milliseconds(500);
      unique.states.push_back(State::kCompleted);
    }
    request.args["unique"] = std::to_string(n % 8) + "-" + std::to_string(n / 16 % 64);
    request.options.unique = std::move(unique);
  }
  return request;
}

Event unique_of(const Request& request) {
  Event unique;
  unique.kind = Event::Kind::kUnique;
  unique.key = request.options.request_id;
  unique.hash = conformance::hash_of(request.args.at("unique").get<std::string>());
  unique.until = request.options.unique->period.count();
  for (const State state : request.options.unique->states) {
    unique.attempt |= 1U << static_cast<unsigned>(state);
  }
  return unique;
}

void ask(EventLog& log, const std::vector<Request>& requests) {
  for (const Request& r : requests) {
    Event ask;
    ask.kind = Event::Kind::kAsk;
    ask.key = r.options.request_id;
    ask.hash = conformance::hash_of(r.args.dump());
    log.append(ask);
    if (r.options.unique) log.append(unique_of(r));
  }
}

void tell(EventLog& log, const Request& request, JobId id) {
  Event ack;
  ack.kind = Event::Kind::kAck;
  ack.key = request.options.request_id;
  ack.id = value(id);
  log.append(ack);
}

void enqueue(Engine& engine, EventLog& log, const std::vector<Request>& requests) {
  ask(log, requests);
  for (;;) {
    const auto answers = engine.enqueue(requests);
    bool again = false;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (!answers[i]) {
        if (answers[i].error().code != Code::kUnavailable) {
          die("enqueue: " + answers[i].error().message);
        }
        again = true;
        continue;
      }
      tell(log, requests[i], *answers[i]);
    }
    if (!again) return;
  }
}

// Enqueues in transactions of a host's own, with a row of its own for each new job.
class Host {
 public:
  Host(Engine& engine, conformance::FaultPlan& plan, EventLog& log, std::string url)
      : engine_(engine), plan_(plan), log_(log), url_(std::move(url)) {}

  void enqueue(const std::vector<Request>& requests) {
    if (requests.empty()) return;
    if (++times_ % 4 == 1) roll_back(requests.front());
    ask(log_, requests);
    std::vector<Inserted> answers;
    until_done([&] {
      answers = write(requests);
      std::ignore = plan_.pass(conformance::FaultPoint::kBeforeInsertCommit);
      db_->commit();
    });
    std::ignore = plan_.pass(conformance::FaultPoint::kAfterInsertCommit);
    engine_.publish(answers);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      tell(log_, requests[i], answers[i].id);
    }
  }

 private:
  // Nobody asks for this one: a job of such a request is one too many.
  void roll_back(Request never) {
    never.options.request_id += "-never";
    never.options.unique.reset();
    until_done([&] {
      std::ignore = write({never});
      db_->rollback();
    });
  }

  // Whatever is wrong with the session or the store: again, with another session. Whether
  // a commit that failed was done is answered by the request ids.
  template <class Transaction>
  void until_done(Transaction transaction) {
    for (;; std::this_thread::sleep_for(std::chrono::milliseconds(10))) {
      // Not within a transaction, which would keep it from opening a file.
      if (!engine_.ignite()) continue;
      try {
        if (!db_) db_ = std::make_unique<HostDb>(url_);
        db_->begin();
        return transaction();
      } catch (const std::exception&) {
        db_.reset();
      }
    }
  }

  std::vector<Inserted> write(const std::vector<Request>& requests) {
    auto answers = sql::enqueue(engine_, db_->session(), requests);
    if (!answers && answers.error().code != Code::kUnavailable) {
      die("enqueue in a transaction: " + answers.error().message);
    }
    for (const Inserted& job : answers.value()) {
      if (!job.existed) db_->write_enqueued(job.id);
    }
    return std::move(*answers);
  }

  Engine& engine_;
  conformance::FaultPlan& plan_;
  EventLog& log_;
  const std::string url_;
  std::unique_ptr<HostDb> db_;
  std::size_t times_ = 0;
};

int run(int argc, char** argv) {
  if (argc != 4 && argc != 7) {
    die("usage: carrel_fault_producer FOLDER FROM TO [POINT kill|stop AFTER]");
  }
  die_with_parent();
  const Place place{argv[1]};
  const auto plan = std::make_shared<conformance::FaultPlan>();
  if (argc == 7 && !arm(*plan, std::string(argv[4]) + " " + argv[5] + " " + argv[6])) {
    die("not understood: " + std::string(argv[4]));
  }
  const auto answers =
      std::make_shared<EventLog>(or_die(EventLog::open(place.log("store")), "event log"));
  EventLog asked = or_die(EventLog::open(place.log("producer")), "event log");

  Config config;
  config.store = place.store();
  config.role = Role::kProducer;
  config.log.level = LogLevel::kOff;
  Engine engine =
      or_die(Engine::open(config, registry_with(place, plan, answers)), "open");
  const std::string host_url = place.host();
  Host host(engine, *plan, asked, host_url);
  const std::size_t to = std::stoul(argv[3]);
  for (std::size_t n = std::stoul(argv[2]); n < to;) {
    std::vector<Request> batch;
    std::vector<Request> by_host;
    const std::size_t end = std::min(to, n + 1 + n * 7 % 64);
    for (; n < end; ++n) {
      const bool host_does = !host_url.empty() && is_enqueued_by_host(n);
      (host_does ? by_host : batch).push_back(request(n));
    }
    enqueue(engine, asked, batch);
    host.enqueue(by_host);
  }
  return 0;
}

}  // namespace
}  // namespace carrel::fault

int main(int argc, char** argv) { return carrel::fault::run(argc, argv); }
