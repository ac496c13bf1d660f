#include "client.h"

#include <algorithm>
#include <array>
#include <condition_variable>

#include "calls.h"
#include "context.h"
#include "threads.h"

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

// What an interrupted call may still wait for its answer: it may hold jobs.
constexpr milliseconds kLastWord = 1s;
// What tickets may take that were accepted before the end.
constexpr milliseconds kLinger = 1s;

std::string random_name() {
  std::random_device random;
  std::string bytes;
  for (int i = 0; i < 16; ++i) bytes.push_back(static_cast<char>(random()));
  return to_hex(bytes);
}

}  // namespace

bool Client::outside_window(Type type) noexcept {
  return waits(type) || type == Type::kBeat;
}

tl::unexpected<Error> Client::unavailable(std::string why) {
  return fail(Code::kUnavailable, std::move(why), "zmq");
}

bool Interrupter::on() const noexcept {
  const std::lock_guard lock(mutex_);
  return on_;
}

Result<void> check_answer(const Result<std::string>& frame, Type expected,
                          std::string_view endpoint) {
  if (!frame) return tl::unexpected<Error>(frame.error());
  const auto head = head_of(*frame);
  if (head && head->type == expected) return {};
  Failed failed;
  if (head && head->type == Type::kError && decode(body_of(*frame), failed)) {
    return tl::unexpected<Error>(std::move(failed.error));
  }
  return fail(Code::kInternal, std::string(endpoint) + ": an answer to something else",
              "zmq");
}

Client::Client(Address address, LogFn log, Duration patience)
    : address_(std::move(address)),
      log_(std::move(log)),
      name_(random_name()),
      away_(Error{Code::kUnavailable, address_.endpoint + ": not connected yet", "zmq"}),
      greet_by_(Clock::now() + patience),
      pace_(address_.heartbeat) {
  welcome_.prioritised = true;
  welcome_.max_batch = Calls::kMaxBatch;
}

Result<std::unique_ptr<Client>> Client::connect(Address address, LogFn log) {
  const Duration patience = address.timeout;
  return connect(std::move(address), std::move(log), patience, false);
}

Result<std::unique_ptr<Client>> Client::connect_in_time(Address address, LogFn log,
                                                        Duration patience) {
  patience = std::min(patience, address.timeout);
  return connect(std::move(address), std::move(log), patience, true);
}

Result<std::unique_ptr<Client>> Client::connect(Address address, LogFn log,
                                                Duration patience, bool content) {
  if (const auto ok = context(); !ok) return tl::unexpected<Error>(ok.error());
  std::unique_ptr<Client> client;
  std::future<Result<void>> greeted;
  try {
    client.reset(new Client(std::move(address), std::move(log), patience));
    greeted = client->greeted_.get_future();
    client->thread_ = named_thread("carrel-zmq", [it = client.get()] { it->run(); });
  } catch (const std::exception& e) {  // no descriptor, no thread
    return unavailable(std::string("a client cannot be made: ") + e.what());
  }
  auto ok = greeted.get();
  if (!ok && !(content && ok.error().code == Code::kUnavailable)) {
    return tl::unexpected<Error>(std::move(ok.error()));
  }
  return client;
}

Welcome Client::welcome() const {
  const std::lock_guard lock(state_mutex_);
  return welcome_;
}

Result<void> Client::connected() const {
  const std::lock_guard lock(state_mutex_);
  if (away_) return tl::unexpected<Error>(*away_);
  return {};
}

void Client::is_away(Error why) {
  const std::lock_guard lock(state_mutex_);
  away_ = std::move(why);
}

Client::~Client() {
  stopping_ = true;
  inbox_.push(Interrupted{0});
  if (thread_.joinable()) thread_.join();
}

std::uint64_t Client::send(std::string frame, Duration patience, Repeat repeat,
                           Then then) {
  Ask ask;
  ask.id = last_id_.fetch_add(1) + 1;
  ask.type = head_of(frame)->type;
  ask.frame = std::move(frame);
  // A year is for ever, and does not overflow.
  ask.deadline = Clock::now() +
                 std::clamp<Duration>(patience, Duration{0}, std::chrono::hours(8760));
  ask.repeat = repeat;
  ask.then = std::move(then);
  const std::uint64_t id = ask.id;
  inbox_.push(std::move(ask));
  return id;
}

Result<std::string> Client::wait_for(std::string frame, Duration patience, Repeat repeat,
                                     Interrupter* interrupter) {
  struct Slot {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<std::string>> result;
  } slot;
  const Then then = [&slot](Result<std::string> result) {
    // Within the lock: the slot goes as soon as its owner has seen the result.
    const std::lock_guard lock(slot.mutex);
    slot.result = std::move(result);
    slot.changed.notify_one();
  };
  std::uint64_t id = 0;
  if (interrupter == nullptr) {
    id = send(std::move(frame), patience, repeat, then);
  } else {
    const std::lock_guard lock(interrupter->mutex_);
    if (interrupter->on_) return fail(Code::kCancelled, "interrupted", "zmq");
    id = send(std::move(frame), patience, repeat, then);
    interrupter->calls_.insert(id);
  }
  {
    std::unique_lock lock(slot.mutex);
    slot.changed.wait(lock, [&] { return slot.result.has_value(); });
  }
  if (interrupter != nullptr) {
    const std::lock_guard lock(interrupter->mutex_);
    interrupter->calls_.erase(id);
  }
  return std::move(*slot.result);
}

void Client::interrupt(Interrupter& interrupter) noexcept {
  const std::lock_guard lock(interrupter.mutex_);
  interrupter.on_ = true;
  for (const std::uint64_t id : interrupter.calls_) inbox_.push(Interrupted{id});
}

void Client::run() {
  while (!stopping_) turn();
  take_orders();
  deliver_tickets();
  if (phase_ == Phase::kUp) send_raw(encode(Bye{}), ++last_id_);
  link_.reset();
  while (!asks_.empty()) {
    finish(asks_.begin()->first, unavailable("the connection is being closed"));
  }
  if (!greeted_set_) greeted_.set_value(unavailable("the connection is being closed"));
}

void Client::turn() {
  try {
    keep_time();
    flush();
    poll();
    take_orders();
    hear_events();
    receive();
  } catch (const ::zmq::error_t& e) {
    lose(e.what());
  }
}

void Client::deliver_tickets() {
  const auto on_the_way = [&] {
    return std::any_of(asks_.begin(), asks_.end(), [](const auto& entry) {
      return entry.second.type == Type::kPublish;
    });
  };
  closes_ = Clock::now() + std::min<Duration>(kLinger, address_.timeout);
  while (phase_ == Phase::kUp && on_the_way() && Clock::now() < closes_) turn();
}

void Client::poll() {
  std::array<zmq_pollitem_t, 3> items{};
  items[0] = {nullptr, inbox_.fd(), ZMQ_POLLIN, 0};
  int count = 1;
  if (link_) {
    items[1] = {link_->socket(), 0, ZMQ_POLLIN, 0};
    items[2] = {link_->monitor(), 0, ZMQ_POLLIN, 0};
    count = 3;
  }
  const auto left = std::chrono::ceil<milliseconds>(next_event() - Clock::now());
  zmq_poll(items.data(), count, std::clamp<long>(left.count(), 0, 60'000));
}

void Client::take_orders() {
  for (Order& order : inbox_.take()) {
    if (auto* ask = std::get_if<Ask>(&order)) {
      accept(std::move(*ask));
    } else {
      interrupted(std::get<Interrupted>(order).id);
    }
  }
}

void Client::accept(Ask ask) {
  const std::uint64_t id = ask.id;
  if (refusal_) return ask.then(tl::unexpected<Error>(*refusal_));
  ask.timer = timers_.emplace(ask.deadline, id);
  (outside_window(ask.type) ? urgent_ : ordinary_).push_back(id);
  if (!waits(ask.type)) pace_.busy(Clock::now());
  asks_.emplace(id, std::move(ask));
}

void Client::interrupted(std::uint64_t id) {
  const auto it = asks_.find(id);
  if (it == asks_.end()) return;
  Ask& ask = it->second;
  if (!ask.sent) return finish(id, fail(Code::kCancelled, "interrupted", "zmq"));
  if (std::exchange(ask.interrupted, true)) return;
  timers_.erase(ask.timer);
  ask.deadline = std::min(ask.deadline, Clock::now() + kLastWord);
  ask.timer = timers_.emplace(ask.deadline, id);
  Abandon abandon;
  abandon.request = id;
  send_raw(encode(abandon), ++last_id_);
}

bool Client::fits(const Ask& ask) const {
  return outside_window(ask.type) || in_window_ < window_;
}

// Beats and claims go first; the rest waits for room in the broker's window.
void Client::flush() {
  if (phase_ != Phase::kUp) return;
  while (!again_.empty() && again_.begin()->first <= Clock::now()) {
    const std::uint64_t id = again_.begin()->second;
    again_.erase(again_.begin());
    const auto it = asks_.find(id);
    if (it == asks_.end() || it->second.sent) continue;
    (outside_window(it->second.type) ? urgent_ : ordinary_).push_back(id);
  }
  for (auto* queue : {&urgent_, &ordinary_}) {
    while (!queue->empty()) {
      const auto it = asks_.find(queue->front());
      if (it != asks_.end() && !it->second.sent) {
        if (!fits(it->second)) break;
        if (!transmit(it->second)) return lose(kGone);
      }
      queue->pop_front();
    }
  }
}

bool Client::transmit(Ask& ask) {
  if (ask.frame.size() > max_frame_) {
    // The broker would cut the connection, and the next one, for as long as it is asked.
    finish(ask.id, fail(Code::kInvalid,
                        "a request of " + std::to_string(ask.frame.size()) +
                            " bytes; max_frame of the broker at " + address_.endpoint +
                            " is " + std::to_string(max_frame_),
                        "zmq"));
    return true;
  }
  stamp(ask.frame, ask.id, received_);
  if (!link_->send(ask.frame)) return false;
  pace_.sent(Clock::now());
  ask.sent = true;
  if (!outside_window(ask.type)) ++in_window_;
  return true;
}

void Client::send_raw(std::string frame, std::uint64_t id) {
  if (!link_) return;
  stamp(frame, id, received_);
  if (!link_->send(frame)) return lose(kGone);
  pace_.sent(Clock::now());
}

void Client::finish(std::uint64_t id, Result<std::string> result) {
  const auto it = asks_.find(id);
  if (it == asks_.end()) return;  // its deadline was before its answer
  Ask ask = std::move(it->second);
  asks_.erase(it);
  timers_.erase(ask.timer);
  if (ask.sent && !outside_window(ask.type) && in_window_ > 0) --in_window_;
  ask.then(std::move(result));
}

}  // namespace carrel::zmq
