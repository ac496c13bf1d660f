#include "postgresql/listener.h"

#include <poll.h>
#include <soci/postgresql/soci-postgresql.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "server/connection.h"
#include "threads.h"

namespace carrel::sql::postgresql {
namespace {

using std::chrono::milliseconds;

// How long what is told gathers, after something was sent.
constexpr milliseconds kGather{5};
// Of a message, of which the server takes 8,000 bytes.
constexpr std::size_t kLongest = 7000;

}  // namespace

Listener::Listener(std::shared_ptr<PostgresDriver> driver, const BackendOptions& options,
                   Waiters& waiters, server::LookForLanes look)
    : driver_(std::move(driver)),
      options_(options),
      waiters_(waiters),
      look_(std::move(look)),
      event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      poller_(options, waiters, look_) {
  if (event_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Listener::~Listener() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  if (thread_.joinable()) thread_.join();
  ::close(event_);
}

void Listener::start() {
  if (started_ || stopping_) return;
  thread_ = named_thread("carrel-listen", [this] { loop(); });
  started_ = true;
}

void Listener::wake() noexcept {
  const std::uint64_t one = 1;
  // It is full only where the thread is about to look anyway.
  [[maybe_unused]] const auto written = ::write(event_, &one, sizeof one);
}

void Listener::tell(std::span<const Lane> lanes, bool ended) noexcept {
  if (driver_->settings().listen.empty()) return;
  try {
    const std::lock_guard lock(mutex_);
    const bool first = lanes_.empty() && !ended_;
    for (const Lane& lane : lanes) lanes_[{lane.queue, lane.kind}] += lane.jobs;
    ended_ = ended_ || ended;
    start();
    if (!first) return;
  } catch (...) {
    return;  // it is a hint
  }
  wake();
}

void Listener::listen() noexcept {
  poller_.listen();
  if (started_ || driver_->settings().listen.empty()) return;
  try {
    const std::lock_guard lock(mutex_);
    start();
  } catch (...) {
    options_.log(LogLevel::kWarn,
                 "no thread to listen for news: jobs of others are late");
  }
}

bool Listener::stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

void Listener::loop() noexcept {
  while (!stopping()) {
    try {
      if (!session_ && backoff_.over()) connect();
      wait();
      if (session_) hear();
      if (session_) send();
      if (std::exchange(looks_, false)) server::look_around(waiters_, look_);
    } catch (...) {
      drop("listening for news");
    }
  }
  session_.reset();
}

void Listener::connect() {
  try {
    session_ = driver_->connect_to_listen();
    session_->execute("LISTEN carrel");
  } catch (...) {
    backoff_.failed();
    throw;
  }
  backoff_.succeeded();
  warned_ = false;
  // What was told while nobody listened here.
  looks_ = true;
}

void Listener::drop(const char* what) noexcept {
  const server::Failure failure = driver_->failure(session_.get());
  if (!warned_) {
    options_.log(LogLevel::kWarn, std::string(what) + ": " + failure.error.message);
  }
  warned_ = true;
  if (session_) session_->cut();
  session_.reset();
}

void Listener::wait() {
  if (looks_) return;
  auto until = Clock::now() + (session_ ? milliseconds(60'000) : milliseconds(100));
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    if (session_ && (!lanes_.empty() || ended_)) until = std::min(until, next_send_);
  }
  const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
  pollfd fds[2] = {{event_, POLLIN, 0},
                   {session_ ? PQsocket(session_->native()) : -1, POLLIN, 0}};
  ::poll(fds, 2, static_cast<int>(std::clamp<long long>(left, 0, 60'000)));
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(event_, &count, sizeof count);
}

void Listener::hear() {
  PGconn* connection = session_->native();
  if (PQconsumeInput(connection) == 0) {
    throw soci::postgresql_soci_error(PQerrorMessage(connection), "08006");
  }
  const int self = PQbackendPID(connection);
  for (;;) {
    const std::unique_ptr<PGnotify, decltype(&PQfreemem)> notify(PQnotifies(connection),
                                                                 &PQfreemem);
    if (!notify) return;
    if (notify->be_pid != self) heard(notify->extra);
  }
}

// Lines: "e" jobs ended; "*" work in any lane; "w", a number, a tab, the queue, a tab and
// the kind: that many jobs became available. Names hold no control characters.
void Listener::heard(const std::string& payload) {
  std::vector<Lane> lanes;
  std::string_view rest = payload;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line == "e") waiters_.look_again();
    if (line == "*") looks_ = true;
    if (!line.starts_with('w')) continue;
    line.remove_prefix(1);
    const std::size_t tab = line.find('\t');
    const std::size_t second = line.find('\t', tab + 1);
    if (second == std::string_view::npos) continue;
    Lane lane{std::string(line.substr(tab + 1, second - tab - 1)),
              std::string(line.substr(second + 1)), 1};
    std::from_chars(line.data(), line.data() + tab, lane.jobs);
    lanes.push_back(std::move(lane));
  }
  if (!lanes.empty()) waiters_.work(lanes);
}

void Listener::send() {
  if (Clock::now() < next_send_) return;
  std::string payload;
  {
    const std::lock_guard lock(mutex_);
    if (lanes_.empty() && !ended_) return;
    if (ended_) payload = "e\n";
    for (const auto& [lane, jobs] : lanes_) {
      payload +=
          "w" + std::to_string(jobs) + "\t" + lane.first + "\t" + lane.second + "\n";
    }
    lanes_.clear();
    ended_ = false;
  }
  if (payload.size() > kLongest) payload = "e\n*\n";
  std::string sql = "SELECT pg_notify('carrel', ";
  const std::unique_ptr<char, decltype(&PQfreemem)> literal(
      PQescapeLiteral(session_->native(), payload.data(), payload.size()), &PQfreemem);
  if (!literal) throw soci::postgresql_soci_error("a message is no text", "22021");
  session_->execute((sql + literal.get() + ")").c_str());
  next_send_ = Clock::now() + kGather;
  hear();  // what came meanwhile is libpq's by now, and its socket does not tell of it
}

}  // namespace carrel::sql::postgresql
