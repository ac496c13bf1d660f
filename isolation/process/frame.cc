#include "frame.h"

#include <algorithm>
#include <cstring>

#include "wire.h"

namespace carrel::process {
namespace {

constexpr std::uint32_t kMagic = 0x4c455243;  // "CREL"

struct Header {
  std::uint32_t magic;
  std::uint32_t type;
  std::uint64_t length;
};
static_assert(sizeof(Header) == kFrameHeader);

// 0: no such type.
std::uint64_t bound_of(std::uint32_t type, const FrameBounds& bounds) noexcept {
  switch (static_cast<FrameType>(type)) {
    case FrameType::kResult:
      return bounds.result;
    case FrameType::kCheckpoint:
      return bounds.checkpoint;
    case FrameType::kError:
      return 2 * kMaxErrorText + 64;
    case FrameType::kProgress:
      return kMaxProgressText + sizeof(float);
    case FrameType::kLog:
      return kMaxLogLine;
    case FrameType::kDone:
      return sizeof(DoneNote);
  }
  return 0;
}

bool known(std::uint32_t type) noexcept {
  return type >= static_cast<std::uint32_t>(FrameType::kResult) &&
         type <= static_cast<std::uint32_t>(FrameType::kDone);
}

FrameStep broken(const char* why) noexcept {
  FrameStep step;
  step.kind = FrameStep::Kind::kBroken;
  step.why = why;
  return step;
}

}  // namespace

FrameHeader encode_frame_header(FrameType type, std::uint64_t length) noexcept {
  const Header header{kMagic, static_cast<std::uint32_t>(type), length};
  FrameHeader out;
  std::memcpy(out.bytes.data(), &header, sizeof header);
  return out;
}

FrameStep parse_frame(std::string_view in, const FrameBounds& bounds) noexcept {
  FrameStep step;
  if (in.size() < sizeof kMagic) return step;
  Header header{};
  // A wrong magic is told before the rest of the header comes: it may never come.
  std::memcpy(&header, in.data(), in.size() < sizeof header ? in.size() : sizeof header);
  if (header.magic != kMagic) return broken("bytes that are no frame");
  if (in.size() < sizeof header) return step;
  if (!known(header.type)) return broken("a frame of an unknown type");
  step.type = static_cast<FrameType>(header.type);
  if (header.length > bound_of(header.type, bounds)) {
    if (step.type != FrameType::kResult && step.type != FrameType::kCheckpoint) {
      return broken("a frame longer than its type can be");
    }
    step.kind = FrameStep::Kind::kTooLarge;
    return step;
  }
  if (in.size() - sizeof header < header.length) return step;
  step.kind = FrameStep::Kind::kFrame;
  step.body = in.substr(sizeof header, header.length);
  step.used = sizeof header + header.length;
  return step;
}

std::string encode_error(const Error& error) {
  std::string body;
  Writer out(body);
  out.put(static_cast<std::uint8_t>(error.code));
  out.put(static_cast<std::int32_t>(error.native));
  // Less than none is none, as to whoever decides of it.
  out.put(std::max(static_cast<std::int64_t>(error.retry_in.count()), std::int64_t{0}));
  out.put_text(cut_text(error.message, kMaxErrorText));
  out.put_text(cut_text(error.origin, kMaxErrorText));
  return body;
}

std::optional<Error> decode_error(std::string_view body) {
  Reader in(body);
  Error error;
  const auto code = in.get<std::uint8_t>();
  error.native = in.get<std::int32_t>();
  error.retry_in = Duration{in.get<std::int64_t>()};
  error.message = in.get_text();
  error.origin = in.get_text();
  const bool named = code >= static_cast<std::uint8_t>(Code::kInvalid) &&
                     code <= static_cast<std::uint8_t>(Code::kDiscarded);
  if (!in.whole() || !named || error.retry_in.count() < 0) return std::nullopt;
  error.code = static_cast<Code>(code);
  return error;
}

std::string encode_progress(float fraction, std::string_view message) {
  std::string body(reinterpret_cast<const char*>(&fraction), sizeof fraction);
  return body.append(cut_text(message, kMaxProgressText));
}

std::optional<ProgressNote> decode_progress(std::string_view body) noexcept {
  if (body.size() < sizeof(float)) return std::nullopt;
  ProgressNote note;
  std::memcpy(&note.fraction, body.data(), sizeof note.fraction);
  if (!(note.fraction >= 0 && note.fraction <= 1)) return std::nullopt;  // also NaN
  note.message = body.substr(sizeof note.fraction);
  return note;
}

std::string encode_done(const DoneNote& note) {
  return {reinterpret_cast<const char*>(&note), sizeof note};
}

std::optional<DoneNote> decode_done(std::string_view body) noexcept {
  DoneNote note;
  if (body.size() != sizeof note) return std::nullopt;
  std::memcpy(&note, body.data(), sizeof note);
  return note;
}

std::string_view cut_text(std::string_view text, std::size_t most) noexcept {
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace carrel::process
