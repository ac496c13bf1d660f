// A host of the hold test: holds places as it is told.
//
//   carrel_fault_holder STORE LEASE_MS
//
// Lines on stdin, each answered by one line on stdout:
//   hold KEY LIMIT WAIT_MS   "held"; until "leave". Or the code of the error
//   wait KEY                 "waits", when its row is in the store; nothing follows
//   leave                    "left", or "left " and the code
//   visit KEY LIMIT TIMES FILE   holds so often, each time alone in FILE; "visited", or
//                            "not alone"
#include <carrel/engine.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <condition_variable>
#include <iostream>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

#include "work.h"

namespace carrel::fault {
namespace {

void say(const std::string& line) { std::cout << line << std::endl; }

// True: nobody else was in the file at the same time.
bool alone_in(const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) die("cannot open " + file);
  const bool alone = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  std::this_thread::yield();
  ::close(fd);
  return alone;
}

int run(int argc, char** argv) {
  if (argc != 3) die("usage: carrel_fault_holder STORE LEASE_MS");
  die_with_parent();
  Config config;
  config.store = argv[1];
  config.role = Role::kProducer;  // nobody but those who hold looks after leases
  config.worker.lease = std::chrono::milliseconds(std::stol(argv[2]));
  config.worker.beat = config.worker.lease / 10;
  config.worker.poll = std::chrono::milliseconds(50);
  config.log.level = LogLevel::kOff;
  Engine engine = or_die(Engine::open(config), "open");
  or_die(engine.ignite(), "ignite");
  say("ready");

  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string what;
    std::string key;
    words >> what >> key;
    if (what == "hold") {
      std::uint32_t limit = 0;
      long wait_ms = 0;
      words >> limit >> wait_ms;
      bool held = false;
      const auto end = engine.hold(
          key, limit,
          [&] {
            held = true;
            say("held");
            std::getline(std::cin, line);  // "leave"
          },
          std::chrono::milliseconds(wait_ms));
      if (held) {
        say(end ? "left" : "left " + std::string(to_string(end.error().code)));
      } else {
        say(std::string(to_string(end.error().code)));
      }
    } else if (what == "wait") {
      std::thread([&engine, key] { std::ignore = engine.hold(key, 1, [] {}); }).detach();
      Filter filter;
      filter.queue = std::string(kHoldQueue);
      filter.states = {State::kPending, State::kAvailable};
      while (or_die(engine.list(filter), "list").empty()) std::this_thread::yield();
      say("waits");
    } else if (what == "visit") {
      std::uint32_t limit = 0;
      int times = 0;
      std::string file;
      words >> limit >> times >> file;
      bool alone = true;
      for (int i = 0; i < times; ++i) {
        or_die(engine.hold(key, limit, [&] { alone = alone_in(file) && alone; }), "hold");
      }
      say(alone ? "visited" : "not alone");
    } else {
      die("not understood: " + line);
    }
  }
  ::_exit(0);  // whoever waits does so until the end
}

}  // namespace
}  // namespace carrel::fault

int main(int argc, char** argv) { return carrel::fault::run(argc, argv); }
