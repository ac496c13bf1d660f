// One job in a forked child: its frames become calls of the sink and an outcome.
//
// Threads: give by whoever holds the pool's mutex, before the run has a child; send by
// the same thread, without it; the rest on the reactor.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "child_pool.h"
#include "child_run.h"
#include "frame.h"

namespace carrel::process {

// Of a job's kind, see KindSpec.
struct ForkKind {
  std::uint32_t recycle = 1;
  std::uint64_t recycle_memory = 0;
  Duration kept = Retention().completed;
};

class ForkRun;

// A job that was given to a child, and is to be sent to it.
struct Parcel {
  std::shared_ptr<ForkRun> run;
  int socket = -1;
  std::string bytes;
  UniqueFd file;  // or none
};

class ForkRun final : public ChildRun {
 public:
  ForkRun(Task task, const std::shared_ptr<Channel>& channel,
          const std::shared_ptr<ChildPool>& pool, ForkKind kind);

  const std::string& kind() const noexcept { return job_->kind; }
  std::uint64_t place = 0;  // in the pool's line, guarded by the pool

  // Gives the job to the child. 0: the child is this run's, and `parcel` is to be sent
  // once the run is attached to it; else it is as it was, and errno says why.
  int give(WarmChild& child, Parcel& parcel);
  // The child may have answered, and the run be over, before this returns: whoever wakes
  // another is often the one that has to wait then, so it is called with no lock held.
  void send(Parcel parcel);
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
  bool is_held() const override { return other_end_open(child_.socket.get()); }

  // Whether there is more to read.
  enum class Rest : std::uint8_t { kNone, kLater, kNow };
  Rest read_some(int rounds);  // at most so many times
  void take(std::string_view bytes);
  bool take_frame(const FrameStep& frame);
  void refuse_stream(const char* why);
  Outcome conclude(const Reply& reply);
  void refuse_stopped();
  bool end_in_line();  // true: it waited for a child, and is over
  bool never_began(const Reply& reply) const;
  void begin_again(const Reply& reply);
  bool put_off(std::uint8_t what) noexcept;  // until send() is through; false: it is
  void sent(std::uint8_t meanwhile);
  void not_sent(int error);
  void find_another();

  const std::weak_ptr<ChildPool> pool_;
  const ForkKind kind_;
  WarmChild child_;
  // Of sending_: a thread is in send(), which nobody waits for. What comes meanwhile is
  // for it to see to.
  static constexpr std::uint8_t kInside = 1;
  static constexpr std::uint8_t kEnd = 4;      // end_
  static constexpr std::uint8_t kRelease = 8;  // the child's socket, which it uses
  static constexpr std::uint8_t kFailed = 16;  // it was not sent: not_sent() follows
  std::atomic<std::uint8_t> sending_{0};
  std::optional<Reply> end_;  // that was put off
  bool again_ = false;        // the child may be used for another job after this one
  int children_ = 0;          // that it was given to
  bool told_to_stop_ = false;
  bool heard_ = false;   // anything at all
  bool unread_ = false;  // the child ended with words for it unread
  FrameBounds bounds_;
  std::string partial_;  // of a frame that is not whole yet
  std::optional<Result<std::string>> answer_;
  std::optional<DoneNote> done_;  // with it all is said
};

}  // namespace carrel::process
