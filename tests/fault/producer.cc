// A producer of the kill test: enqueues the jobs numbered FROM to TO - 1, in batches,
// each under a request id of its own, so that whoever is started again after a kill may
// ask again.
//
//   carrel_fault_producer FOLDER FROM TO [POINT kill|stop AFTER]
#include <carrel/engine.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "work.h"

namespace carrel::fault {
namespace {

using conformance::Event;
using conformance::EventLog;

// The same for every producer that asks for job n. One in a hundred takes longer than a
// lease, so that who was stopped finishes it while somebody else is running it. One in
// five, those among them, has a key of which few may run, one in twenty a key of which
// few may begin.
Request request(std::size_t n) {
  std::mt19937 random(static_cast<unsigned>(n));
  Request request;
  request.kind = kKind;
  request.args = {{"n", n},
                  {"ms", n % 100 == 7 ? 1'000 + random() % 1'500 : random() % 50},
                  {"fail", random() % 50 == 0 ? 1 : 0},
                  {"pad", std::string(random() % 300, 'p')}};
  request.options.request_id = "request-" + std::to_string(n);
  if (n % 5 == 2) request.options.limit = {"limit-" + std::to_string(n / 5 % 8), 3};
  if (n % 20 == 3) {
    request.options.rate =
        Rate{"rate-" + std::to_string(n / 20 % 2), 2, std::chrono::milliseconds(100)};
  }
  return request;
}

void enqueue(Engine& engine, EventLog& log, const std::vector<Request>& requests) {
  for (const Request& r : requests) {
    Event ask;
    ask.kind = Event::Kind::kAsk;
    ask.key = r.options.request_id;
    ask.hash = conformance::hash_of(r.args.dump());
    log.append(ask);
  }
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
      Event ack;
      ack.kind = Event::Kind::kAck;
      ack.key = requests[i].options.request_id;
      ack.id = value(*answers[i]);
      log.append(ack);
    }
    if (!again) return;
  }
}

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
  config.store = "tested:";
  config.role = Role::kProducer;
  config.log.level = LogLevel::kOff;
  Engine engine =
      or_die(Engine::open(config, registry_with(place, plan, answers)), "open");
  const std::size_t to = std::stoul(argv[3]);
  for (std::size_t n = std::stoul(argv[2]); n < to;) {
    std::vector<Request> batch;
    const std::size_t size = 1 + n * 7 % 64;
    for (; n < to && batch.size() < size; ++n) batch.push_back(request(n));
    enqueue(engine, asked, batch);
  }
  return 0;
}

}  // namespace
}  // namespace carrel::fault

int main(int argc, char** argv) { return carrel::fault::run(argc, argv); }
