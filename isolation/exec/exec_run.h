// One run of a program: its pipes become calls of the sink and an outcome.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <optional>
#include <string>
#include <utility>

#include "child_pipe.h"
#include "child_run.h"
#include "lines.h"
#include "program.h"

namespace carrel::process {

// The host's ends; none blocks.
struct ExecPipes {
  UniqueFd input;
  UniqueFd output;
  UniqueFd error;
  UniqueFd notes;
  UniqueFd folder;  // a socket, on which a sandbox sends its folder; empty: not asked for
};

// What holds for the runs of a kind in a sandbox.
struct SandboxTerms {
  std::uint64_t stderr_limit = 0;  // 0: none
  std::vector<std::string> files_out;
  std::shared_ptr<const std::vector<std::string>> enforced;
};

class ExecRun final : public ChildRun {
 public:
  // `written`: how much of the payload is in the input pipe already; once it is all
  // there, `pipes.input` is empty. `sandbox`: nullptr: it has none.
  ExecRun(Task task, const std::shared_ptr<Channel>& channel, const Program& program,
          ExecPipes pipes, std::size_t written,
          std::shared_ptr<const SandboxTerms> sandbox);

  void watch() override;
  void ended(const Reply& reply) override;

 private:
  void ask_to_stop() override;
  void release() override;
  bool is_held() const override;
  void signal(int number, bool group) noexcept override;

  void watch_input();
  void watch_port(Port& port, void (ExecRun::*take)(std::string_view));
  // Reads what is there, at most `rounds` times, and closes the port at its end.
  void read_port(Port& port, void (ExecRun::*take)(std::string_view), int rounds);
  void read_all();  // that is there
  void take_output(std::string_view bytes);
  void take_error(std::string_view bytes);
  bool count_error(std::size_t bytes);
  void take_notes(std::string_view bytes);
  void take_note(std::string_view line);
  void tell_progress();
  void tell_progress_soon();
  void say(std::string_view line);

  bool all_read() const { return !output_.open() && !error_.open() && !notes_.open(); }
  void drain();     // after the end
  void end_left();  // then
  void not_spawned(const Reply& reply);
  // The sandbox ended it, or a limit did. Empty: neither.
  std::optional<OutcomeClass> forced_class() const;
  void succeed(Outcome& outcome);
  void conclude();

  const std::string program_;
  const std::string cwd_;
  const Output output_as_;
  const std::shared_ptr<const SandboxTerms> sandbox_;
  Port input_;
  Port output_;
  Port error_;
  Port notes_;
  UniqueSocket folder_;
  std::size_t written_;
  std::uint64_t error_bytes_ = 0;  // of stderr and descriptor 3
  // Progress that came too soon after the last: told a little later, or at the end,
  // unless newer has been.
  Throttle progress_rate_;
  std::optional<std::pair<float, std::string>> held_progress_;
  std::optional<boost::asio::steady_timer> progress_timer_;
  bool watched_ = false;
  bool ends_left_ = false;
  bool complained_ = false;  // about a line on descriptor 3
  std::string text_;
  Tail tail_{4096};
  LineCutter error_lines_{8 * 1024};
  LineCutter note_lines_{2 * 1024};
  std::optional<Reply> reply_;                 // it has ended
  std::optional<OutcomeClass> asked_in_time_;  // before it had ended
  std::optional<boost::asio::steady_timer> drain_timer_;
};

}  // namespace carrel::process
