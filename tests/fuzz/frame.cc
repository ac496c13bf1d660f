// The frames that a forked child writes, whole and in pieces: whatever it sends, parsing
// stays within the bytes that are there, and what is taken keeps to its bounds.
#include "frame.h"

#include <cstdlib>

using namespace carrel::process;

namespace {

constexpr FrameBounds kBounds{1000, 500};

void require(bool holds) {
  if (!holds) std::abort();
}

void read_body(const FrameStep& step) {
  switch (step.type) {
    case FrameType::kResult:
      return require(step.body.size() <= kBounds.result);
    case FrameType::kCheckpoint:
      return require(step.body.size() <= kBounds.checkpoint);
    case FrameType::kLog:
      return require(step.body.size() <= kMaxLogLine);
    case FrameType::kError:
      // What can be read, reads the same once it was written again.
      if (const auto error = decode_error(step.body)) {
        const auto again = decode_error(encode_error(*error));
        require(again && again->code == error->code && again->native == error->native);
        require(again->message == cut_text(error->message, kMaxErrorText));
      }
      return;
    case FrameType::kProgress:
      if (const auto note = decode_progress(step.body)) {
        require(note->fraction >= 0 && note->fraction <= 1);
      }
      return;
    case FrameType::kDone:
      if (const auto note = decode_done(step.body)) {
        require(encode_done(*note) == step.body);
      }
      return;
  }
  std::abort();  // a type that is none
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view in(reinterpret_cast<const char*>(data), size);
  while (!in.empty()) {
    const FrameStep step = parse_frame(in, kBounds);
    if (step.kind == FrameStep::Kind::kFrame) {
      require(step.used == kFrameHeader + step.body.size() && step.used <= in.size());
      require(step.body.data() == in.data() + kFrameHeader);
      // No shorter piece of it is a frame, or wrong.
      const std::string_view piece = in.substr(0, step.used - 1);
      require(parse_frame(piece, kBounds).kind == FrameStep::Kind::kMore);
      read_body(step);
      in.remove_prefix(step.used);
      continue;
    }
    if (step.kind == FrameStep::Kind::kBroken) require(*step.why != '\0');
    break;
  }
  return 0;
}
