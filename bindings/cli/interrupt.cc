#include "interrupt.h"

#include <poll.h>
#include <signal.h>

#include <csignal>
#include <system_error>
#include <utility>

namespace carrel::cli {
namespace {

SignalWake make_wake() {
  auto made = SignalWake::make({SIGINT, SIGTERM, SIGHUP});
  if (made) return std::move(*made);
  throw std::system_error(static_cast<int>(made.error().native), std::generic_category(),
                          "eventfd");
}

}  // namespace

Interrupt::Interrupt(std::function<void()> heard) : signals_(make_wake()) {
  thread_ = std::thread([this, heard = std::move(heard)] {
    signals_.wait();
    if (ending_) return;
    source_.request_stop();  // first: what is heard may take its time
    if (heard) heard();
  });
}

Interrupt::~Interrupt() {
  ending_ = true;
  signals_.wake();
  thread_.join();
}

bool Interrupt::came() const noexcept {
  pollfd now{signals_.descriptor(), POLLIN, 0};
  return poll(&now, 1, 0) > 0;
}

void let_the_next_end_it() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    // Asked without a change: one that comes meanwhile is ignored, too.
    struct sigaction now {};
    if (sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN) continue;
    std::signal(number, SIG_DFL);
  }
}

}  // namespace carrel::cli
