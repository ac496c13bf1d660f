#include "interrupt.h"

#include <system_error>
#include <utility>

namespace carrel::cli {
namespace {

SignalWake make_wake() {
  auto made = SignalWake::make();
  if (made) return std::move(*made);
  throw std::system_error(static_cast<int>(made.error().native), std::generic_category(),
                          "eventfd");
}

}  // namespace

Interrupt::Interrupt() : signals_(make_wake()) {
  thread_ = std::thread([this] {
    signals_.wait();
    source_.request_stop();  // at the end nobody heeds it any more
  });
}

Interrupt::~Interrupt() {
  signals_.wake();
  thread_.join();
}

}  // namespace carrel::cli
