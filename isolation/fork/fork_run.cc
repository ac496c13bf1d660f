#include "fork_run.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>

#include "outcome.h"

namespace carrel::process {
namespace {

using WaitType = boost::asio::posix::descriptor_base::wait_type;

}  // namespace

ForkRun::ForkRun(Task task, const std::shared_ptr<Channel>& channel, UniqueFd socket)
    : ChildRun(std::move(task), channel), port_(std::move(socket)) {
  bounds_.result = limits_.result_bytes;
  bounds_.checkpoint = limits_.result_bytes;
}

void ForkRun::watch() {
  if (over() || verdict() || answer_) return;
  port_.wait(context_, WaitType::wait_read, [self = shared_from_this(), this] {
    if (read_some(1)) watch();
  });
}

bool ForkRun::read_some(int rounds) {
  const auto buffer = scratch();
  for (; rounds > 0 && port_.open() && !verdict() && !answer_; --rounds) {
    const ssize_t n = recv(port_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return true;
    if (n <= 0) return false;
    take({buffer.data(), static_cast<std::size_t>(n)});
  }
  return port_.open() && !verdict() && !answer_;
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
    if (answer_) return refuse_stream("bytes after its result");
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
  }
  return false;
}

void ForkRun::refuse_stream(const char* why) {
  kill_for(OutcomeClass::kProtocolError,
           {Code::kFailed, std::string("the job's process sent ") + why, "fork"});
}

void ForkRun::ask_to_stop() {
  const char reason = 's';
  send(port_.get(), &reason, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void ForkRun::release() {
  port_.close();
  partial_ = {};
}

void ForkRun::ended(const Reply& reply) {
  if (reply.what == Reply::What::kNotForked) {
    return refuse(OutcomeClass::kResourceError,
                  {Code::kUnavailable,
                   "no process could be forked for the job: " + errno_text(reply.error),
                   "fork", reply.error});
  }
  // Its last words were written before it died: they are all there. The bound is for a
  // process that it left behind, and that writes on.
  constexpr int kRounds = 64;
  read_some(kRounds + static_cast<int>(bounds_.result / scratch().size()));
  finish(conclude(reply));
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
    return outcome;
  }
  const auto asked = asked_class();
  outcome.error = {Code::kFailed, "", "fork"};
  if (asked) {
    outcome.klass = *asked;
    outcome.error.code =
        *asked == OutcomeClass::kWallTimeout ? Code::kTimeout : Code::kCancelled;
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
