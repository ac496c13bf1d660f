#include "exec_run.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "files_out.h"
#include "frame.h"
#include "stage.h"

namespace carrel::process {
namespace {

using WaitType = boost::asio::posix::descriptor_base::wait_type;

bool out_of_resources(int error) {
  return error == ENOMEM || error == EAGAIN || error == EMFILE || error == ENFILE;
}

}  // namespace

ExecRun::ExecRun(Task task, const std::shared_ptr<Channel>& channel,
                 const Program& program, ExecPipes pipes, std::size_t written,
                 std::shared_ptr<const SandboxTerms> sandbox)
    : ChildRun(std::move(task), channel),
      program_(program.name()),
      cwd_(program.folder()),
      output_as_(program.output()),
      sandbox_(std::move(sandbox)),
      input_(std::move(pipes.input)),
      output_(std::move(pipes.output)),
      error_(std::move(pipes.error)),
      notes_(std::move(pipes.notes)),
      folder_(std::move(pipes.folder)),
      written_(written) {}

void ExecRun::watch() {
  if (watched_ || over()) return;
  watched_ = true;
  watch_input();
  watch_port(output_, &ExecRun::take_output);
  watch_port(error_, &ExecRun::take_error);
  watch_port(notes_, &ExecRun::take_notes);
}

// A program may end, or close its input, without reading it all: no error of anybody. The
// reactor's thread has SIGPIPE blocked.
void ExecRun::watch_input() {
  input_.wait(context_, WaitType::wait_write, [self = shared_from_this(), this] {
    const std::string& payload = job_->payload;
    const ssize_t n =
        write(input_.get(), payload.data() + written_, payload.size() - written_);
    if (n > 0) written_ += static_cast<std::size_t>(n);
    const bool failed = n < 0 && errno != EAGAIN && errno != EINTR;
    if (failed || written_ == payload.size()) {
      input_.close();
    } else {
      watch_input();
    }
  });
}

void ExecRun::watch_port(Port& port, void (ExecRun::*take)(std::string_view)) {
  port.wait(context_, WaitType::wait_read,
            [self = shared_from_this(), this, &port, take] {
              read_port(port, take, 1);
              if (reply_ && all_read()) return conclude();
              watch_port(port, take);
            });
}

void ExecRun::read_port(Port& port, void (ExecRun::*take)(std::string_view), int rounds) {
  const auto buffer = scratch();
  for (; rounds > 0 && port.open(); --rounds) {
    const ssize_t n = read(port.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return port.close();
    (this->*take)({buffer.data(), static_cast<std::size_t>(n)});
  }
}

void ExecRun::take_output(std::string_view bytes) {
  if (verdict()) return;
  if (text_.size() + bytes.size() > limits_.result_bytes) {
    text_ = {};
    return kill_for(OutcomeClass::kOutputLimit,
                    {Code::kTooLarge, program_ + " wrote more than the limit of " +
                                          std::to_string(limits_.result_bytes) +
                                          " bytes to its output"});
  }
  text_.append(bytes);
}

// False: that is more than it may write, and it is killed.
bool ExecRun::count_error(std::size_t bytes) {
  error_bytes_ += bytes;
  if (!sandbox_ || sandbox_->stderr_limit == 0 ||
      error_bytes_ <= sandbox_->stderr_limit) {
    return true;
  }
  kill_for(OutcomeClass::kOutputLimit,
           {Code::kTooLarge, program_ + " wrote more than the limit of " +
                                 std::to_string(sandbox_->stderr_limit) +
                                 " bytes to its stderr and descriptor 3"});
  return false;
}

void ExecRun::take_error(std::string_view bytes) {
  if (!count_error(bytes.size())) return;
  tail_.feed(bytes);
  error_lines_.feed(bytes, [this](std::string_view line) { say(line); });
}

void ExecRun::take_notes(std::string_view bytes) {
  if (!count_error(bytes.size())) return;
  note_lines_.feed(bytes, [this](std::string_view line) { take_note(line); });
}

void ExecRun::take_note(std::string_view line) {
  const auto note = parse_note(line);
  if (!note) {
    if (!complained_)
      say("not understood on descriptor 3: " + std::string(cut_text(line, 200)));
    complained_ = true;
    return;
  }
  if (note->kind == Note::Kind::kLog) return say(note->text);
  held_progress_.emplace(note->fraction, cut_text(note->text, kMaxProgressText));
  if (progress_rate_.pass()) return tell_progress();
  tell_progress_soon();
}

void ExecRun::tell_progress_soon() {
  if (progress_timer_) return;
  progress_timer_.emplace(context_);
  progress_timer_->expires_after(Throttle::kPause);
  progress_timer_->async_wait(
      [self = shared_from_this(), this](const boost::system::error_code& e) {
        if (e) return;
        progress_timer_.reset();
        if (!held_progress_) return;
        if (progress_rate_.pass()) return tell_progress();
        tell_progress_soon();
      });
}

void ExecRun::tell_progress() {
  if (!held_progress_) return;
  const auto [fraction, text] = std::move(*held_progress_);
  held_progress_.reset();
  if (RunSink* to = sink()) to->on_progress(fraction, text);
}

void ExecRun::say(std::string_view line) {
  if (RunSink* to = sink()) to->on_log(line);
}

// A program knows no stop token. Its own process hears first; the ladder's next step is
// for the whole group.
void ExecRun::ask_to_stop() { signal(SIGTERM, false); }

// Of a program that has ended what holds its pipes is not waited for any longer.
void ExecRun::signal(int number, bool group) noexcept {
  ChildRun::signal(number, group);
  later([self = shared_from_this(), this] {
    if (reply_ && !over()) end_left();
  });
}

void ExecRun::release() {
  drain_timer_.reset();
  progress_timer_.reset();
  input_.close();
  output_.close();
  error_.close();
  notes_.close();
  folder_.reset();
}

bool ExecRun::is_held() const {
  return other_end_open(input_.get()) || other_end_open(output_.get()) ||
         other_end_open(error_.get()) || other_end_open(notes_.get());
}

void ExecRun::ended(const Reply& reply) {
  if (reply.what != Reply::What::kEnded) return not_spawned(reply);
  reply_ = reply;
  if ((reply.force & Reply::kSignalled) != 0) asked_in_time_ = asked_class();
  input_.close();
  drain();
}

void ExecRun::read_all() {
  constexpr int kRounds = 64;  // more than a pipe holds
  read_port(output_, &ExecRun::take_output, kRounds);
  read_port(error_, &ExecRun::take_error, kRounds);
  read_port(notes_, &ExecRun::take_notes, kRounds);
}

void ExecRun::drain() {
  read_all();
  if (all_read() || verdict()) return conclude();
  // Something that the program left behind holds a pipe open.
  watch();
  drain_timer_.emplace(context_);
  drain_timer_->expires_after(limits_.drain_grace);
  drain_timer_->async_wait(
      [self = shared_from_this(), this](const boost::system::error_code& e) {
        if (!e) end_left();
      });
}

// The server counts the same time, and may be later: what was killed lets go of the
// pipes. The timer is for what escapes that.
void ExecRun::end_left() {
  if (ends_left_) return;
  ends_left_ = true;
  kill_left();
  drain_timer_.emplace(context_);
  drain_timer_->expires_after(kGone);
  drain_timer_->async_wait(
      [self = shared_from_this(), this](const boost::system::error_code& e) {
        if (!e) conclude();
      });
}

void ExecRun::not_spawned(const Reply& reply) {
  if (sandbox::of_sandbox(reply.stage)) {
    return refuse(OutcomeClass::kSandboxUnavailable,
                  sandbox::unavailable(reply.stage, reply.error, {}));
  }
  const bool poor =
      reply.what == Reply::What::kNotForked || out_of_resources(reply.error);
  const std::string what = reply.stage == Reply::Stage::kChangeFolder
                               ? "the working folder of " + program_ +
                                     (cwd_.empty() ? "" : ", " + cwd_ + ",") +
                                     " cannot be entered: "
                               : program_ + " cannot be started: ";
  const bool not_seen = sandbox_ != nullptr && reply.error == ENOENT;
  refuse(poor ? OutcomeClass::kResourceError : OutcomeClass::kSpawnError,
         {poor ? Code::kUnavailable : Code::kFailed,
          what + errno_text(reply.error) +
              (not_seen ? "; its sandbox sees /usr and the mounts of its profile" : ""),
          "exec", reply.error});
}

std::optional<OutcomeClass> ExecRun::forced_class() const {
  if ((reply_->force & Reply::kMemory) != 0) return OutcomeClass::kMemoryLimit;
  if ((reply_->force & Reply::kCpuTime) != 0) return OutcomeClass::kCpuTimeout;
  if (sandbox_ && WIFSIGNALED(reply_->status) && WTERMSIG(reply_->status) == SIGXFSZ) {
    return OutcomeClass::kFsizeLimit;
  }
  return std::nullopt;
}

void ExecRun::conclude() {
  if (over()) return;
  error_lines_.finish([this](std::string_view line) { say(line); });
  note_lines_.finish([this](std::string_view line) { take_note(line); });
  tell_progress();
  Outcome outcome = outcome_from(*reply_);
  outcome.stderr_tail = tail_.take();
  outcome.error = {Code::kFailed, "", "exec"};
  if (sandbox_) outcome.enforced = sandbox_->enforced;
  if (verdict()) {
    outcome.klass = verdict()->klass;
    outcome.error = std::move(verdict()->error);
  } else if (const auto asked = asked_in_time_) {
    // Also where it ended with 0: a program that heeds SIGTERM has not done its work.
    outcome.klass = *asked;
    outcome.error.code =
        *asked == OutcomeClass::kWallTimeout ? Code::kTimeout : Code::kCancelled;
    outcome.error.message = program_ + " " + asked_text();
  } else if (const auto forced = forced_class()) {
    outcome.klass = *forced;
    outcome.error.message =
        program_ + (*forced == OutcomeClass::kCpuTimeout    ? " used up its CPU time"
                    : *forced == OutcomeClass::kMemoryLimit ? " used up its memory"
                                                            : " wrote too large a file");
  } else if (outcome.signal != 0) {
    outcome.klass = OutcomeClass::kSignaled;
    outcome.error.message = program_ + " died: " + signal_text(outcome.signal);
  } else if (outcome.exit_code != 0) {
    outcome.klass = OutcomeClass::kExitNonzero;
    outcome.error.message =
        program_ + " ended with exit code " + std::to_string(outcome.exit_code);
  } else {
    succeed(outcome);
  }
  finish(std::move(outcome));
}

void ExecRun::succeed(Outcome& outcome) {
  outcome.result = result_of_output(text_, output_as_);
  std::uint64_t size = outcome.result.size();
  if (folder_ && size <= limits_.result_bytes) {
    auto files =
        collect_files(folder_.get(), sandbox_->files_out, limits_.result_bytes - size);
    if (!files) {
      const bool large = files.error().code == Code::kTooLarge;
      outcome.klass = large ? OutcomeClass::kOutputLimit : OutcomeClass::kFailed;
      outcome.error = std::move(files.error());
      outcome.result.clear();
      return;
    }
    outcome.result = "{\"files\":" + *files +
                     ",\"output\":" + (outcome.result.empty() ? "null" : outcome.result) +
                     "}";
  } else if (size > limits_.result_bytes) {
    outcome.klass = OutcomeClass::kOutputLimit;
    outcome.error = {Code::kTooLarge,
                     "the output of " + program_ + " as a JSON string has " +
                         std::to_string(size) + " bytes; the limit is " +
                         std::to_string(limits_.result_bytes),
                     "exec"};
    outcome.result.clear();
    return;
  }
  outcome.error = {};
}

}  // namespace carrel::process
