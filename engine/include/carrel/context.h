// What a handler sees of its job, and how handlers are registered.
#pragma once

#include <carrel/job.h>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace carrel {

// The isolation's side of a Context. Called by the handler's thread only, but for what
// the isolation itself does behind stop().
class ContextSink {
 public:
  virtual ~ContextSink() = default;
  virtual void progress(float fraction, std::string_view message) = 0;
  virtual void checkpoint(std::string_view bytes) = 0;
  virtual void log(std::string_view line) = 0;
  virtual std::stop_token stop() = 0;
  virtual bool stopping() = 0;
};

// Threads: one handler, one thread. Lives for the length of one attempt.
class Context {
 public:
  // `job` and `sink` are borrowed. `deadline`: when this attempt runs out of time; none:
  // it has no limit.
  Context(const Claimed& job, ContextSink& sink,
          std::optional<std::chrono::steady_clock::time_point> deadline = std::nullopt,
          Duration kept = std::chrono::hours(24), std::uint64_t result_limit = 1 << 20)
      : job_(job),
        sink_(sink),
        deadline_(deadline),
        kept_(kept),
        result_limit_(result_limit) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // (job().lease.id, job().lease.fence) is the idempotency key of this attempt.
  const Claimed& job() const noexcept { return job_; }
  std::uint16_t attempt() const noexcept { return job_.attempt; }

  // The payload as JSON, parsed when first asked for; an empty payload is null.
  // Throws Json::exception where it is not JSON: left alone, that fails the attempt.
  const Json& args();

  // Set when the job is cancelled, out of time, or the engine shuts down. A callback on
  // the token runs on another thread, and is no handler: call nothing there that waits
  // for this job, as Engine::wait() and stop() may, for its handler cannot end before.
  std::stop_token stop() { return sink_.stop(); }
  bool stopping() { return sink_.stopping(); }
  // Until the deadline, not below zero; Duration::max() where there is none.
  Duration remaining() const noexcept;

  // Cheap enough for a tight loop: many calls reach the store as one, every 500 ms.
  // `fraction` is clamped to 0–1.
  void progress(float fraction, std::string_view message = {}) {
    sink_.progress(fraction, message);
  }
  // Saved with the next beat; the next attempt finds the last one in job().checkpoint.
  // One that is longer than the store takes (StoreTraits::max_payload) is not, and the
  // job's log says so; in a process, one past the kind's result_limit throws.
  void checkpoint(std::string_view bytes) { sink_.checkpoint(bytes); }
  void log(std::string_view line) { sink_.log(line); }

  // The completion of this attempt was written in a transaction of the handler's own: see
  // carrel/sql_transaction.h, which calls this. Once that is committed the job is
  // completed, whatever the handler returns; if it is not, the attempt fails.
  void completes_in_transaction() noexcept { in_transaction_ = true; }
  bool is_completing_in_transaction() const noexcept { return in_transaction_; }
  // How long completed jobs are kept ([retention] completed): what completes this one in
  // a transaction needs it.
  Duration kept() const noexcept { return kept_; }
  // How many bytes its result may have (the kind's result_limit), for the same.
  std::uint64_t result_limit() const noexcept { return result_limit_; }

  // `return job.snooze(5min);` — run again later; costs no attempt. 0s: at once.
  static tl::unexpected<Error> snooze(Duration in);
  // `return job.discard("no such user");` — no retry can mend it.
  static tl::unexpected<Error> discard(std::string message);
  // `return job.retry_in(30s, "rate limited");` — fails this attempt, with a back-off of
  // its own. 0s, or less: that of the kind; for at once there is 1us.
  static tl::unexpected<Error> retry_in(Duration in, std::string message);
  // `return job.error("…");` — fails this attempt.
  static tl::unexpected<Error> error(std::string message);

 private:
  const Claimed& job_;
  ContextSink& sink_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  Duration kept_;
  std::uint64_t result_limit_;
  std::optional<Json> args_;
  bool in_transaction_ = false;
};

// Does one attempt of a job. May throw: the attempt fails with what().
// A result of null is stored as nothing.
//
// What becomes of the job by the code of the error that it answers with, also where that
// came from a call of the handler's own and is passed on as it was (`return
// engine.wait(other, 1min);`):
//   kSnoozed                          run again after retry_in; costs no attempt
//   kDiscarded, kTooLarge, kInvalid   discarded: the same would come of it again
//   any other                         a failed attempt, retried after retry_in, or the
//                                     back-off of the kind; discarded after the last
// kCancelled is such an other: that another job was cancelled ends this one no more than
// any failure does. A job that was itself cancelled is that, whatever error its handler
// answers with; and one that it answers with after a shutdown asked it to stop costs no
// attempt, but for kDiscarded and kTooLarge. To try again where a call said kInvalid,
// answer with job.error(its message).
//
// A result completes the job, also after a cancel, a time-out or a shutdown asked it to
// stop: a handler that stops half-way answers with an error.
using Handler = std::function<Result<Json>(Context&)>;

namespace detail {
template <class T>
struct ResultOf {
  using type = void;
  static constexpr bool is_result = false;
};
template <class T>
struct ResultOf<Result<T>> {
  using type = T;
  static constexpr bool is_result = true;
};

// A pointer, or a std::function or its like, that may have nothing to call.
template <class F>
inline constexpr bool may_be_empty =
    std::is_constructible_v<F, std::nullptr_t>&& std::is_constructible_v<bool, const F&>;

template <class Call>
Result<Json> as_json_result(Call&& call) {
  using R = std::invoke_result_t<Call>;
  if constexpr (std::is_void_v<R>) {
    std::forward<Call>(call)();
    return Json();
  } else if constexpr (ResultOf<R>::is_result) {
    auto r = std::forward<Call>(call)();
    if (!r) return tl::unexpected<Error>(std::move(r.error()));
    if constexpr (std::is_void_v<typename ResultOf<R>::type>) {
      return Json();
    } else {
      return Json(std::move(*r));
    }
  } else {
    return Json(std::forward<Call>(call)());
  }
}
}  // namespace detail

// Adapts any callable of (Context&) that returns void, T, or Result<T>, T convertible to
// Json. Of one that is empty, as a null pointer is, an empty one.
template <class F>
requires std::invocable<F&, Context&> Handler make_handler(F f) {
  if constexpr (std::is_same_v<F, Handler>) {
    return f;
  } else {
    if constexpr (detail::may_be_empty<F>) {
      if (!f) return {};
    }
    return [f = std::move(f)](Context& job) mutable -> Result<Json> {
      return detail::as_json_result([&] { return f(job); });
    };
  }
}

// The same for (Context&, const Args&): Args comes from the payload by nlohmann's
// from_json. Arguments of another shape discard the job: no retry can mend them.
template <class Args, class F>
requires std::invocable<F&, Context&, const Args&> Handler make_handler(F f) {
  if constexpr (detail::may_be_empty<F>) {
    if (!f) return {};
  }
  return [f = std::move(f)](Context& job) mutable -> Result<Json> {
    std::optional<Args> args;
    try {
      args.emplace(job.args().template get<Args>());
    } catch (const Json::exception& e) {
      return Context::discard(std::string("the arguments do not fit: ") + e.what());
    }
    return detail::as_json_result([&] { return f(job, std::as_const(*args)); });
  };
}

// Handlers by kind. Not thread-safe: filled by one thread, then only read.
class Handlers {
 public:
  template <class F>
  void handle(std::string_view kind, F f) {
    map_.insert_or_assign(std::string(kind), make_handler(std::move(f)));
  }
  template <class Args, class F>
  void handle(std::string_view kind, F f) {
    map_.insert_or_assign(std::string(kind), make_handler<Args>(std::move(f)));
  }
  const Handler* find(std::string_view kind) const {
    auto it = map_.find(kind);
    return it == map_.end() ? nullptr : &it->second;
  }
  const std::map<std::string, Handler, std::less<>>& all() const noexcept { return map_; }

  // Isolation `fork` only. `load` runs once in the process server, before any child is
  // forked: what it loads, all children share until they write to it. It must start no
  // thread. If it throws, the engine does not start.
  void preload(std::function<void()> load) { preloads_.push_back(std::move(load)); }
  // `hook` runs in every forked child, before it has a job and mostly before there is
  // one: for connections of its own, and for whatever must not be the same in all of
  // them, such as the state of a random generator. If it throws, that is how the child's
  // job fails.
  void after_fork_child(std::function<void()> hook) {
    after_fork_.push_back(std::move(hook));
  }
  const std::vector<std::function<void()>>& preloads() const noexcept {
    return preloads_;
  }
  const std::vector<std::function<void()>>& after_fork_hooks() const noexcept {
    return after_fork_;
  }

 private:
  std::map<std::string, Handler, std::less<>> map_;
  std::vector<std::function<void()>> preloads_;
  std::vector<std::function<void()>> after_fork_;
};

// Runs `handler` on `job`, and turns whatever it throws into an Error. Used by every
// isolation that runs handlers.
Result<Json> invoke(const Handler& handler, Context& job) noexcept;

}  // namespace carrel
