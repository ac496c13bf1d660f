// What a forked child writes to its host: frames on a stream socket.
//
// A frame is 16 bytes of header (magic, type, length; the machine's own byte order, both
// ends are one program) and `length` bytes of body. Progress, log and checkpoint frames
// come first, then one result or one error. A done frame behind it ends the job: the
// child ends too, or waits for another one. Without it, the child's own end ends the job.
// The child is not trusted to be whole: a length is believed only up to the bound of its
// type, and nothing is allocated for what has not arrived.
//
// Pure functions: no descriptors, no clocks, no exceptions but bad_alloc.
#pragma once

#include <carrel/result.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace carrel::process {

enum class FrameType : std::uint32_t {
  kResult = 1,  // any bytes; empty: null
  kError,       // encode_error
  kProgress,    // encode_progress
  kLog,         // one line
  kCheckpoint,  // any bytes
  kDone,        // encode_done
};

inline constexpr std::size_t kFrameHeader = 16;
inline constexpr std::size_t kMaxErrorText = 16 * 1024;  // message and origin, each
inline constexpr std::size_t kMaxProgressText = 1024;
inline constexpr std::size_t kMaxLogLine = 8 * 1024;

// Bounds that differ by job: of a result, and of a checkpoint.
struct FrameBounds {
  std::uint64_t result = 1 << 20;
  std::uint64_t checkpoint = 1 << 20;
};

struct FrameHeader {
  std::array<char, kFrameHeader> bytes;
  operator std::string_view() const noexcept { return {bytes.data(), bytes.size()}; }
};
FrameHeader encode_frame_header(FrameType type, std::uint64_t length) noexcept;

struct FrameStep {
  enum class Kind : std::uint8_t {
    kMore,      // no whole frame yet
    kFrame,     // `type` and `body`; `used` bytes are done with
    kTooLarge,  // a result or checkpoint past its bound; nothing after it can be read
    kBroken,    // this is no frame: `why`
  };
  Kind kind = Kind::kMore;
  FrameType type = FrameType::kResult;
  std::string_view body;  // into the input
  std::size_t used = 0;
  const char* why = "";
};

// Looks at the first frame of `in`.
FrameStep parse_frame(std::string_view in, const FrameBounds& bounds) noexcept;

std::string encode_error(const Error& error);  // long texts are cut
std::optional<Error> decode_error(std::string_view body);

struct ProgressNote {
  float fraction = 0;  // 0 to 1
  std::string_view message;
};
std::string encode_progress(float fraction, std::string_view message);  // cut likewise
std::optional<ProgressNote> decode_progress(std::string_view body) noexcept;

// What the job that ends here has used.
struct DoneNote {
  std::uint64_t cpu_us = 0;
  std::uint64_t max_rss_kib = 0;
};
std::string encode_done(const DoneNote& note);
std::optional<DoneNote> decode_done(std::string_view body) noexcept;

// Cuts `text` to at most `most` bytes, not within a UTF-8 character.
std::string_view cut_text(std::string_view text, std::size_t most) noexcept;

}  // namespace carrel::process
