#include "reactor.h"

#include "threads.h"

namespace carrel {

Reactor::Reactor()
    : work_(boost::asio::make_work_guard(context_)),
      thread_(named_thread("carrel-reactor", [this] { context_.run(); })) {}

Reactor::~Reactor() { stop(); }

void Reactor::stop() noexcept {
  work_.reset();
  context_.stop();
  if (thread_.joinable()) thread_.join();
}

}  // namespace carrel
