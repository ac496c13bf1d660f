#include "ways.h"

#include <algorithm>

namespace sms {

const std::vector<Way>& ways() {
  static const std::vector<Way> all = {
      {"threads", "nothing", "thread", 1, Action::kCheckThenSet, false, false, false,
       "Eight jobs look at the credits while one is left. All eight see it, all eight "
       "send, and then each takes one off. Between the check and the set there is a "
       "message's time, and nothing keeps the others out of it."},
      {"mutex", "a mutex in the process", "mutex", 1, Action::kCheckThenSet, false, false,
       true,
       "Isolation \"mutex\" lets one of these jobs run at a time in this process. Check, "
       "message and set are one thing to all the others. It is right as long as there is "
       "one process."},
      {"two mutexes", "a mutex in each process", "mutex", 2, Action::kCheckThenSet, false,
       false, false,
       "The day a second worker is started, each process has a mutex, and neither knows "
       "the other's. Two jobs run at once; when one credit is left both see it. It goes "
       "wrong by one message, and seldom looks wrong in a test."},
      {"fork", "a child each", "fork", 1, Action::kCheckThenSet, false, false, false,
       "Each job has a process to itself. That keeps its crashes, leaks and globals from "
       "the others. The credits are not in the process: isolation is no lock."},
      {"limit", "a limit by key", "thread", 2, Action::kCheckThenSet, true, false, true,
       "concurrency = { key = \"community:{community}\", limit = 1 }: of one community "
       "one job runs at a time, in all workers of the store, on however many hosts. "
       "Other "
       "communities run beside it. What waits takes no thread."},
      {"limit, killed", "a limit by key, kill -9", "thread", 2, Action::kCheckThenSet,
       true, true, false,
       "The same, and a worker dies between the message and the set. The message is out, "
       "the credit was not taken. When its lease has ended the job runs again, as it "
       "must, for nobody knows how far it had come: it sends a second message. A lock "
       "keeps others out; it does not make two things one."},
      {"hold", "Engine::hold", "–", 2, Action::kHold, false, false, true,
       "Not a job at all: a web request, say, that sends a message itself. "
       "engine.hold(\"community:7\", 1, …) waits for a place at the same limit by key "
       "that jobs obey, in all processes, runs the code, and frees it."},
      {"reserve", "reserved at enqueue", "thread", 2, Action::kReserve, false, false,
       true,
       "No lock at all. Whoever wants to send takes the credit off first, by one "
       "statement that changes nothing when none is left, and enqueues the sending in "
       "the "
       "same transaction: there are never more jobs than credits. All of them may send "
       "at "
       "once."},
      {"complete", "one transaction, kill -9", "thread", 2, Action::kComplete, false,
       true, true,
       "The job takes the credit off, enqueues the delivery and completes itself in one "
       "transaction of its own: wherever it is killed, all three have happened or none. "
       "The delivery sends the message under a key that stays the same, its job's id. "
       "Killed after the gateway took the message, it sends it again, and the gateway "
       "knows the key."},
  };
  return all;
}

const Way& way(const std::string& name) {
  return *std::find_if(ways().begin(), ways().end(),
                       [&](const Way& w) { return w.name == name; });
}

}  // namespace sms
