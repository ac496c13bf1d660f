#include "loop.h"

#include <carrel/memory.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;

constexpr auto kCleaning = 1s;
constexpr auto kComplaints = 60s;
constexpr auto kLastWords = 500ms;
constexpr std::size_t kEnvelope = std::size_t{64} << 10;  // of a row, without payload

// For every role.
Welcome welcome_of(const BrokerOptions& options, const Store* store,
                   const Queue& tickets) {
  Welcome welcome;
  welcome.broker = "carrel";
  welcome.hosts_store = store != nullptr;
  welcome.prioritised = tickets.traits().prioritised;
  welcome.max_batch = Calls::kMaxBatch;
  welcome.max_frame = options.max_frame;
  welcome.max_payload = options.max_frame - std::min(kEnvelope, options.max_frame / 2);
  welcome.window = options.window;
  if (store != nullptr) {
    const StoreTraits traits = store->traits();
    welcome.durable = traits.durable;
    welcome.limits = traits.limits;
    welcome.unique = traits.unique;
    welcome.rates = traits.rates;
    if (traits.max_payload > 0) {
      welcome.max_payload = std::min(welcome.max_payload, traits.max_payload);
    }
  }
  return welcome;
}

}  // namespace

Loop::Loop(const BrokerOptions& options, ::zmq::socket_t router,
           std::shared_ptr<const Keys> keys, Store* store)
    : options_(options),
      tickets_(make_memory_queue(options.max_tickets)),
      next_cleaning_(Clock::now() + kCleaning),
      sessions_(
          options_, std::move(router), std::move(keys),
          welcome_of(options_, store, *tickets_), counted_,
          [this](const SessionPtr& by, std::uint64_t id) { calls_.read(by, id); },
          [this](const SessionPtr& session) { calls_.leave(session); }),
      calls_(options_, sessions_, store, *tickets_, counted_,
             [this](Done done) { inbox_.push(std::move(done)); }) {}

void Loop::run() {
  while (!stopping_) {
    try {
      turn();
    } catch (const ::zmq::error_t& e) {
      if (e.num() != EINTR)
        options_.log(LogLevel::kError, std::string("broker: ") + e.what());
    }
  }
  shut_down();
}

void Loop::turn() {
  keep_time();
  calls_.carry_out();
  poll();
  take_inbox();
  sessions_.receive(
      [this](const SessionPtr& session, const Head& head, std::string_view frame) {
        calls_.begin(session, head, frame);
      });
  calls_.carry_out();
}

void Loop::poll() {
  std::array<zmq_pollitem_t, 2> items{};
  items[0] = {sessions_.socket(), 0, ZMQ_POLLIN, 0};
  items[1] = {nullptr, inbox_.fd(), ZMQ_POLLIN, 0};
  const auto next = std::min(next_cleaning_, calls_.next_event());
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now());
  zmq_poll(items.data(), items.size(), std::clamp<long>(left.count(), 0, 60'000));
}

void Loop::take_inbox() {
  for (auto& item : inbox_.take()) {
    if (auto* done = std::get_if<Done>(&item)) {
      calls_.on_done(std::move(*done));
    } else {
      std::get<std::function<void()>>(item)();
    }
  }
}

void Loop::keep_time() {
  calls_.keep_time();
  const auto now = Clock::now();
  if (now < next_cleaning_) return;
  next_cleaning_ = now + kCleaning;
  sessions_.drop_silent();
  look_for_descriptors();
}

// Without one libzmq cannot take a connection, and tells nobody.
void Loop::look_for_descriptors() {
  const int fd = eventfd(0, EFD_CLOEXEC);
  const int error = errno;
  if (fd >= 0) close(fd);
  if (fd >= 0 || Clock::now() < next_complaint_) return;
  next_complaint_ = Clock::now() + kComplaints;
  options_.log(LogLevel::kWarn, std::string("broker: no new client gets in: ") +
                                    std::strerror(error) + " (ulimit -n, LimitNOFILE=)");
}

BrokerHealth Loop::health() const {
  BrokerHealth health = counted_;
  health.sessions = sessions_.size();
  calls_.tell(health);
  return health;
}

void Loop::shut_down() {
  calls_.shut_down();
  take_inbox();        // what the store had still to answer
  calls_.carry_out();  // and what of it nobody wants any more
  sessions_.close(kLastWords);
}

}  // namespace carrel::zmq
