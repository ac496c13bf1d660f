#include "fork_run.h"

#include <linux/sockios.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>

#include "outcome.h"

namespace carrel::process {
namespace {

constexpr int kRoundsAtOnce = 16;

// Of an end that was asked for.
Code code_of(OutcomeClass asked) {
  return asked == OutcomeClass::kWallTimeout ? Code::kTimeout : Code::kCancelled;
}

}  // namespace

ForkRun::ForkRun(Task task, const std::shared_ptr<Channel>& channel,
                 const std::shared_ptr<ChildPool>& pool, ForkKind kind)
    : ChildRun(std::move(task), channel), pool_(pool), kind_(kind) {
  number_ = 0;
  bounds_.result = limits_.result_bytes;
  bounds_.checkpoint = limits_.result_bytes;
}

int ForkRun::give(WarmChild& child, Parcel& parcel) {
  std::optional<std::chrono::steady_clock::time_point> deadline;
  if (limits_.wall.count() > 0) deadline = started_ + limits_.wall;
  JobHead head;
  head.again = child.jobs + 1 < kind_.recycle;
  head.most_memory = kind_.recycle_memory;
  head.run = value(job_->lease.fence);
  std::string& bytes = parcel.bytes;
  bytes.assign(sizeof head, '\0');
  Writer writer(bytes);
  encode(writer, *job_, deadline, limits_.result_bytes, kind_.kept);
  const std::string_view body = std::string_view(bytes).substr(sizeof head);
  if (body.size() > kMaxInline) {
    parcel.file = memory_file(body);
    if (!parcel.file) return errno;
    bytes.resize(sizeof head);
    head.in_file = true;
  } else {
    head.bytes = static_cast<std::uint32_t>(body.size());
  }
  std::memcpy(bytes.data(), &head, sizeof head);
  parcel.run = std::static_pointer_cast<ForkRun>(shared_from_this());
  parcel.socket = child.socket.get();
  child_ = std::move(child);
  ++child_.jobs;
  ++children_;
  again_ = head.again;
  number_ = child_.number;
  sending_ = kInside;
  return 0;
}

void ForkRun::send(Parcel parcel) {
  const int file = parcel.file.get();
  const int error =
      send_message(parcel.socket, parcel.bytes, {&file, parcel.file ? 1U : 0U});
  const auto meanwhile = sending_.exchange(error == 0 ? 0 : kFailed);
  if (meanwhile == kInside && error == 0) return;
  if ((meanwhile & kInside) == 0) return;  // it has answered, and may be over
  if ((meanwhile & kRelease) != 0) return child_.socket.reset();
  later([self = shared_from_this(), this, meanwhile, error] {
    if (over()) return;
    if (error != 0) {
      not_sent(error);
    } else {
      sent(meanwhile);
    }
  });
}

bool ForkRun::put_off(std::uint8_t what) noexcept {
  auto now = sending_.load();
  while ((now & kInside) != 0) {
    if (sending_.compare_exchange_weak(now, now | what)) return true;
  }
  return false;
}

void ForkRun::sent(std::uint8_t meanwhile) {
  if ((meanwhile & kEnd) != 0) ended(*end_);
}

// The child is as good as dead, whether that was heard of or not.
void ForkRun::not_sent(int error) {
  sending_ = 0;
  const auto pool = pool_.lock();
  const auto channel = this->channel();
  if (!end_ && channel && pool) {
    channel->forget(number_);
    pool->let_go(number_);
  }
  if (end_ && end_->what == Reply::What::kNotForked) return refuse_resource(end_->error);
  if (error != EPIPE && error != ECONNRESET) return refuse_resource(error);
  --children_;
  if (asked_class()) return refuse_stopped();
  find_another();
}

bool ForkRun::heard() {
  if (over()) return false;
  if (read_some(kRoundsAtOnce) == Rest::kNow) {  // it is not told of again
    boost::asio::post(context_, [self = shared_from_this(), this] {
      if (heard()) tell_end();
    });
    return false;
  }
  return done_ && !verdict();
}

ForkRun::Rest ForkRun::read_some(int rounds) {
  const auto buffer = scratch();
  while (child_.socket && !verdict() && !done_) {
    if (--rounds < 0) return Rest::kNow;
    const ssize_t n =
        recv(child_.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return Rest::kLater;
    if (n < 0) unread_ = errno == ECONNRESET;
    if (n <= 0) return Rest::kNone;
    heard_ = true;
    take({buffer.data(), static_cast<std::size_t>(n)});
  }
  return Rest::kNone;
}

void ForkRun::take(std::string_view bytes) {
  // Whole frames are read where they are; only the rest of one is kept, and it is never
  // longer than its type may be.
  std::string joined;
  if (!partial_.empty()) {
    joined = std::move(partial_.append(bytes));
    partial_.clear();
    bytes = joined;
  }
  while (!bytes.empty() && !verdict()) {
    if (done_) return refuse_stream("bytes after its result");
    const FrameStep step = parse_frame(bytes, bounds_);
    switch (step.kind) {
      case FrameStep::Kind::kMore:
        if (bytes.data() == joined.data()) {
          partial_ = std::move(joined);
        } else {
          partial_.assign(bytes);
        }
        return;
      case FrameStep::Kind::kBroken:
        return refuse_stream(step.why);
      case FrameStep::Kind::kTooLarge:
        return kill_for(OutcomeClass::kDiscarded,
                        {Code::kTooLarge, "a result or checkpoint past the limit of " +
                                              std::to_string(bounds_.result) + " bytes"});
      case FrameStep::Kind::kFrame:
        if (!take_frame(step)) return refuse_stream("a frame that cannot be read");
        bytes.remove_prefix(step.used);
    }
  }
}

bool ForkRun::take_frame(const FrameStep& frame) {
  RunSink* const to = sink();
  if (answer_.has_value() != (frame.type == FrameType::kDone)) return false;
  switch (frame.type) {
    case FrameType::kResult:
      answer_ = std::string(frame.body);
      return true;
    case FrameType::kError: {
      auto error = decode_error(frame.body);
      if (!error) return false;
      answer_ = tl::unexpected<Error>(std::move(*error));
      return true;
    }
    case FrameType::kProgress: {
      const auto note = decode_progress(frame.body);
      if (!note) return false;
      if (to != nullptr) to->on_progress(note->fraction, note->message);
      return true;
    }
    case FrameType::kLog:
      if (to != nullptr) to->on_log(frame.body);
      return true;
    case FrameType::kCheckpoint:
      if (to != nullptr) to->on_checkpoint(frame.body);
      return true;
    case FrameType::kDone:
      done_ = decode_done(frame.body);
      return done_.has_value();
  }
  return false;
}

void ForkRun::refuse_stream(const char* why) {
  kill_for(OutcomeClass::kProtocolError,
           {Code::kFailed, std::string("the job's process sent ") + why, "fork"});
}

void ForkRun::ask_to_stop() {
  told_to_stop_ = true;
  // Who asks has the handle, which is given away after send().
  if (end_in_line() || (sending_ & kFailed) != 0) return;
  JobHead head;
  head.what = JobHead::What::kStop;
  head.run = value(job_->lease.fence);
  ::send(child_.socket.get(), &head, sizeof head, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void ForkRun::signal(int number, bool group) noexcept {
  if (number_ != 0) return ChildRun::signal(number, group);
  later([self = shared_from_this(), this, number, group] {
    if (!over() && !end_in_line()) ChildRun::signal(number, group);
  });
}

void ForkRun::heed() noexcept {
  if (forced()) signal(SIGKILL, true);  // a request to stop is on its way by itself
}

bool ForkRun::end_in_line() {
  const auto pool = pool_.lock();
  if (!pool || !pool->withdraw(*this)) return false;
  refuse_stopped();
  return true;
}

void ForkRun::refuse_stopped() {
  refuse(*asked_class(),
         {code_of(*asked_class()), "it was stopped before it began", "fork"});
}

void ForkRun::refuse_resource(int error) {
  refuse(OutcomeClass::kResourceError,
         {Code::kUnavailable, "no process could be had for the job: " + errno_text(error),
          "fork", error});
}

void ForkRun::release() {
  if (!put_off(kRelease)) child_.socket.reset();
  partial_ = {};
}

void ForkRun::ended(const Reply& reply) {
  end_ = reply;
  if (put_off(kEnd) || (sending_ & kFailed) != 0) return;
  if (reply.what == Reply::What::kNotForked) return refuse_resource(reply.error);
  // Its last words were written before it died: they are all there. The bound is for a
  // process that it left behind, and that writes on.
  constexpr int kRounds = 64;
  if (read_some(kRounds + static_cast<int>(bounds_.result / scratch().size())) ==
      Rest::kLater) {
    int unread = 0;
    unread_ = ioctl(child_.socket.get(), SIOCOUTQ, &unread) == 0 && unread > 0;
  }
  if (never_began(reply)) return begin_again(reply);
  if (const auto pool = pool_.lock()) pool->refill();
  finish(conclude(reply));
}

// The kernel tells: it resets a connection that is closed with something unread in it;
// and where one that was just forked has the other end for a moment, how much is unread.
bool ForkRun::never_began(const Reply& reply) const {
  return reply.what == Reply::What::kEnded && unread_ && !heard_ && !told_to_stop_ &&
         !over() && !asked_class();
}

void ForkRun::begin_again(const Reply& reply) {
  const auto pool = pool_.lock();
  if (!pool || children_ >= kMaxChildren) {
    Outcome outcome = outcome_from(reply);
    outcome.klass = OutcomeClass::kResourceError;
    outcome.error = {
        Code::kUnavailable,
        std::to_string(children_) +
            " processes died before they began with the job, the last of " +
            (outcome.signal != 0 ? signal_text(outcome.signal)
                                 : "exit code " + std::to_string(outcome.exit_code)),
        "fork"};
    return finish(std::move(outcome));
  }
  find_another();
}

void ForkRun::find_another() {
  const auto pool = pool_.lock();
  if (!pool) return lost();
  child_ = {};
  number_ = 0;
  unread_ = false;
  end_.reset();
  const auto self = std::static_pointer_cast<ForkRun>(shared_from_this());
  pool->start({&self, 1});
  heed();
}

void ForkRun::tell_end() {
  sending_.fetch_and(static_cast<std::uint8_t>(~kInside));  // it was, since it answered
  Reply reply;
  reply.cpu_us = done_->cpu_us;
  reply.max_rss_kib = done_->max_rss_kib;
  Outcome outcome = conclude(reply);
  const auto pool = pool_.lock();
  const auto channel = this->channel();
  if (pool && channel) {
    // Where it was told to end, it is not used again.
    if (again_ && channel->detach(number_)) {
      pool->take_back(std::move(child_), kind());
    } else {
      channel->forget(number_);
      pool->let_go(number_);
    }
  }
  finish(std::move(outcome));
}

Outcome ForkRun::conclude(const Reply& reply) {
  Outcome outcome = outcome_from(reply);
  if (verdict()) {
    outcome.klass = verdict()->klass;
    outcome.error = std::move(verdict()->error);
    return outcome;
  }
  if (answer_ && *answer_) {
    outcome.result = std::move(**answer_);
    return outcome;
  }
  if (answer_) {
    Outcome said = outcome_of(tl::unexpected<Error>(std::move(answer_->error())),
                              bounds_.result, stop_reason());
    outcome.klass = said.klass;
    outcome.error = std::move(said.error);
    // The child knows that it was stopped, and not why.
    if (outcome.error.code == Code::kCancelled) outcome.error.code = code_of(said.klass);
    return outcome;
  }
  const auto asked = asked_class();
  outcome.error = {Code::kFailed, "", "fork"};
  if (asked) {
    outcome.klass = *asked;
    outcome.error.code = code_of(*asked);
    outcome.error.message = "the job's process " + asked_text();
  } else if (outcome.signal != 0) {
    outcome.klass = OutcomeClass::kCrashed;
    outcome.error.message = "the job's process died: " + signal_text(outcome.signal);
  } else {
    outcome.klass = OutcomeClass::kProtocolError;
    outcome.error.message = "the job's process ended with exit code " +
                            std::to_string(outcome.exit_code) +
                            " and without a whole result";
  }
  return outcome;
}

}  // namespace carrel::process
