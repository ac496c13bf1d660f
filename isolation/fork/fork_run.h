// One job in a forked child: its frames become calls of the sink and an outcome.
//
// Threads: send_to by whoever holds the pool's mutex, before the run has a child; the
// rest on the reactor.
#pragma once

#include <optional>
#include <string>

#include "child_pool.h"
#include "child_run.h"
#include "frame.h"

namespace carrel::process {

// How often one child may be used, see KindSpec.
struct Recycling {
  std::uint32_t jobs = 1;
  std::uint64_t most_memory = 0;
};

class ForkRun final : public ChildRun {
 public:
  ForkRun(Task task, const std::shared_ptr<Channel>& channel,
          const std::shared_ptr<ChildPool>& pool, Recycling recycling);

  const std::string& kind() const noexcept { return job_->kind; }
  std::uint64_t place = 0;  // in the pool's line, guarded by the pool

  // Gives the job to the child. 0: the child is this run's; else it is as it was, and
  // errno says why.
  int send_to(WarmChild& child);
  // No child or memory could be had for it.
  void refuse_resource(int error);
  // On the reactor, after it was given to a child: whoever asked for its end meanwhile
  // found no process to signal.
  void heed() noexcept;

  bool heard() override;
  void tell_end() override;  // its child waits for the next job, or ends
  void ended(const Reply& reply) override;

 private:
  // A job whose children die before they read it is given to no more than this.
  static constexpr int kMaxChildren = 3;

  void ask_to_stop() override;
  void signal(int number, bool group) noexcept override;
  void release() override;

  // Whether there is more to read.
  enum class Rest : std::uint8_t { kNone, kLater, kNow };
  Rest read_some(int rounds);  // at most so many times
  void take(std::string_view bytes);
  bool take_frame(const FrameStep& frame);
  void refuse_stream(const char* why);
  Outcome conclude(const Reply& reply);
  bool end_in_line();  // true: it waited for a child, and is over
  bool never_began(const Reply& reply) const;
  void begin_again(const Reply& reply);

  const std::weak_ptr<ChildPool> pool_;
  const Recycling recycling_;
  WarmChild child_;
  bool again_ = false;  // the child may be used for another job after this one
  int children_ = 0;    // that it was given to
  bool told_to_stop_ = false;
  bool heard_ = false;   // anything at all
  bool unread_ = false;  // the child ended with words for it unread
  FrameBounds bounds_;
  std::string partial_;  // of a frame that is not whole yet
  std::optional<Result<std::string>> answer_;
  std::optional<DoneNote> done_;  // with it all is said
};

}  // namespace carrel::process
