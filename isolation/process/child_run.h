// A run in a child of the process server: what fork and exec have in common.
//
// Threads: request_stop, terminate, kill and abandon from any; everything else on the
// reactor, where the sink is called too.
#pragma once

#include <carrel/isolation.h>

#include <atomic>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "os.h"
#include "wire.h"

namespace carrel::process {

class Channel;

// A descriptor of one child at the host's end. Bare until somebody waits for it: most
// jobs end before, and never cost the reactor a registration.
class Port {
 public:
  explicit Port(UniqueFd fd) : fd_(std::move(fd)) {}
  Port(Port&&) = default;
  Port& operator=(Port&&) = default;
  ~Port() { close(); }

  int get() const noexcept { return watched_ ? watched_->native_handle() : fd_.get(); }
  bool open() const noexcept { return get() >= 0; }
  void close() noexcept;
  // Calls `then` once when the descriptor is ready; never after close().
  template <class Then>
  void wait(boost::asio::io_context& context,
            boost::asio::posix::descriptor_base::wait_type what, Then then) {
    if (!open()) return;
    if (!watched_) {
      watched_ = std::make_unique<boost::asio::posix::stream_descriptor>(context);
      boost::system::error_code error;
      watched_->assign(fd_.get(), error);
      if (error) {
        watched_.reset();
        return;
      }
      fd_.release();
    }
    watched_->async_wait(what,
                         [then = std::move(then)](const boost::system::error_code& e) {
                           if (!e) then();
                         });
  }

 private:
  UniqueFd fd_;
  std::unique_ptr<boost::asio::posix::stream_descriptor> watched_;
};

class ChildRun : public Run, public std::enable_shared_from_this<ChildRun> {
 public:
  ChildRun(Task task, const std::shared_ptr<Channel>& channel);

  // The server's name for its process; 0: it has none yet.
  std::uint64_t number() const noexcept { return number_; }

  void request_stop(StopReason reason) noexcept override;
  bool terminate() noexcept override;
  bool kill() noexcept override;
  Duration abandon() noexcept override {
    abandoned_ = true;
    return {};
  }

  // It has run for a while: from now on its descriptors are waited for.
  virtual void watch() {}
  // Of a forked one: it has said something, or has ended. True: it has said all, and
  // tell_end() is to follow.
  virtual bool heard() { return false; }
  // Others are told next, without a wait in between: they can be stored together.
  void expect_more_ends() noexcept {
    if (RunSink* const to = sink()) to->expect_more_ends();
  }
  virtual void tell_end() {}
  // The server's last word on it.
  virtual void ended(const Reply& reply) = 0;
  // The server died, and the child with it: told once that is gone, or a second later.
  void lost();
  // It never started: no descriptor, no memory. From start(), before anybody else knows
  // it.
  void refuse(OutcomeClass klass, Error error);
  bool over() const noexcept { return over_.load(); }

 protected:
  virtual void ask_to_stop() = 0;  // on the reactor
  virtual void release() = 0;      // closes descriptors and timers
  // How long what was killed is waited for, while it holds a descriptor of the child.
  static constexpr std::chrono::seconds kGone{1};
  // Somebody has the other end of a descriptor of the child: it lives, or what it left.
  virtual bool is_held() const = 0;

  virtual void signal(int number, bool group) noexcept;
  void kill_left() noexcept;  // what its process left behind, once that has ended
  // Later, on the reactor. Nothing once the channel has gone: the reactor may have, too.
  // Not beside the end of the engine.
  template <class Then>
  void later(Then then) {
    if (const auto channel = channel_.lock()) {
      boost::asio::post(context_, std::move(then));
    }
  }
  // Ends the run: releases, and tells the sink. Nothing the second time.
  void finish(Outcome outcome);
  // An outcome that carries what the reply says, with no class yet.
  Outcome outcome_from(const Reply& reply) const;
  // The class of an end that was asked for; empty: nobody asked.
  std::optional<OutcomeClass> asked_class() const noexcept;
  std::optional<StopReason> stop_reason() const noexcept;
  bool forced() const noexcept { return forced_; }  // terminate() or kill() was called
  std::string asked_text() const;  // why it ended, when asked_class() is set
  void kill_for(OutcomeClass klass,
                Error error);  // this side's own verdict; the first stays
  std::optional<Outcome>& verdict() { return verdict_; }
  std::shared_ptr<Channel> channel() const { return channel_.lock(); }  // empty: no more
  RunSink* sink() noexcept { return abandoned_ ? nullptr : sink_.get(); }

  const std::shared_ptr<const Claimed> job_;
  const Limits limits_;
  // Of the calling thread, which is the reactor's. Not the channel's: what reads a
  // descriptor of its own may outlive that.
  static std::span<char> scratch();
  boost::asio::io_context& context_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::atomic<std::uint64_t> number_;

 private:
  struct LastWait;
  void see_off(const std::shared_ptr<LastWait>& wait);

  // Weak: a handle on a run may outlive the engine's reactor, a channel must not.
  const std::weak_ptr<Channel> channel_;
  std::shared_ptr<RunSink> sink_;
  std::optional<Outcome> verdict_;
  std::atomic<int> stop_reason_{-1};
  std::atomic<bool> forced_{false};
  std::atomic<bool> abandoned_{false};
  std::atomic<bool> over_{false};
};

// "Segmentation fault (signal 11)"
std::string signal_text(int signal);

}  // namespace carrel::process
