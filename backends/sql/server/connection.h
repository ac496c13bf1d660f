// A session and the statements on it, made when they are needed and made anew after a
// loss.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <utility>

#include "server/driver.h"

namespace carrel::sql::server {

// When a server that is away may be asked again: after 50 ms, and up to 2 s when that
// did not help, each half of it by chance, so that many clients do not come at once.
class Backoff {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Backoff(unsigned seed = std::random_device{}()) : random_(seed) {}
  bool over(Clock::time_point now = Clock::now()) const { return now >= next_; }
  void failed(Clock::time_point now = Clock::now()) {
    std::uniform_real_distribution<double> half(0.5, 1);
    next_ = now + std::chrono::duration_cast<Clock::duration>(wait_ * half(random_));
    wait_ = std::min(wait_ * 2, kLongest);
  }
  void succeeded() { wait_ = kFirst; }

 private:
  using Seconds = std::chrono::duration<double>;
  static constexpr Seconds kFirst{0.05};
  static constexpr Seconds kLongest{2};
  std::minstd_rand random_;
  Clock::time_point next_{};
  Seconds wait_ = kFirst;
};

// `Tables`: made from a Session&, and used no longer than it. Used by one thread at a
// time.
template <class Tables>
class Connection {
 public:
  explicit Connection(Driver& driver) : driver_(driver) {}
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool is_open() const noexcept { return tables_ != nullptr; }

  // Connects where there is no session. Throws what connecting throws, and Away.
  Tables& tables() {
    if (tables_) return *tables_;
    if (!backoff_.over()) throw Away{last_error_};
    try {
      session_ = driver_.connect();
      tables_ = std::make_unique<Tables>(*session_, driver_.statements());
    } catch (...) {
      last_error_ = driver_.failure(nullptr).error;
      backoff_.failed();
      session_.reset();
      throw;
    }
    backoff_.succeeded();
    return *tables_;
  }
  Session& session() { return *session_; }

  // Of the exception that is being handled; a session that is lost goes with it.
  Failure failure() noexcept {
    Failure failure = driver_.failure(session_.get());
    if (failure.lost && session_) {
      // What is left of the session says goodbye in vain, and must not wait for an
      // answer.
      session_->cut();
      tables_.reset();
      session_.reset();
    }
    return failure;
  }

  // Whether that is a lock that did not come.
  bool waited_in_vain() const noexcept { return driver_.failure(session_.get()).held; }

  void close() noexcept {
    if (session_) {
      const Session::Call call(*session_);
      tables_.reset();
    }
    session_.reset();
  }

 private:
  Driver& driver_;
  Backoff backoff_;
  Error last_error_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Tables> tables_;
};

}  // namespace carrel::sql::server
