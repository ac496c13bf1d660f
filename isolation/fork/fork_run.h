// One job in a forked child: its frames become calls of the sink and an outcome.
#pragma once

#include <optional>
#include <string>

#include "child_run.h"
#include "frame.h"

namespace carrel::process {

class ForkRun final : public ChildRun {
 public:
  // `socket`: the host's end of the job's own socket.
  ForkRun(Task task, const std::shared_ptr<Channel>& channel, UniqueFd socket);

  void watch() override;
  void ended(const Reply& reply) override;

 private:
  void ask_to_stop() override;
  void release() override;

  // Reads what is there, at most `rounds` times. False: nothing more
  // will be read, be it that all was said.
  bool read_some(int rounds);
  void take(std::string_view bytes);
  bool take_frame(const FrameStep& frame);
  void refuse_stream(const char* why);
  Outcome conclude(const Reply& reply);

  Port port_;
  FrameBounds bounds_;
  std::string partial_;  // of a frame that is not whole yet
  std::optional<Result<std::string>> answer_;
};

}  // namespace carrel::process
