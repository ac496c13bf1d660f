// A run whose task waits until there is a server to ask: the handle that its engine has
// meanwhile, and afterwards.
//
// Threads: every call is safe beside every other.
#pragma once

#include <carrel/isolation.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <mutex>
#include <optional>

namespace carrel::process {

class HeldRun final : public Run, public std::enable_shared_from_this<HeldRun> {
 public:
  // Its end, where it is stopped before it begins, is told on `context`, and only while
  // `owner` lives.
  HeldRun(Task task, boost::asio::io_context& context, std::weak_ptr<const void> owner);

  // The task, to be started. Empty: it is over.
  std::optional<Task> begin();
  // After begin(). It was started as `run`, which hears what was asked for meanwhile; or
  // it was not, and ends so.
  void began(std::shared_ptr<Run> run);
  void refused(Error error);

  void request_stop(StopReason reason) noexcept override;
  bool terminate() noexcept override;
  bool kill() noexcept override;
  Duration abandon() noexcept override;

 private:
  // What it was started as; else notes the request, for then.
  template <class Note>
  std::shared_ptr<Run> begun_or(Note note);
  void stop_waiting();

  boost::asio::io_context& context_;
  const std::weak_ptr<const void> owner_;

  std::mutex mutex_;
  std::optional<Task> task_;  // while it waits
  std::shared_ptr<RunSink> sink_;
  std::shared_ptr<Run> run_;
  std::optional<StopReason> stop_;
  bool terminated_ = false;
  bool killed_ = false;
  bool abandoned_ = false;
};

}  // namespace carrel::process
