// What host and process server say to each other on a channel, a SOCK_SEQPACKET socket.
//
// Host → server: messages of one or more requests, each a RequestHead, then
// `inline_bytes` of body; its descriptors come with the message, in order. A body that is
// too long for a message is a file in memory, the last of the request's descriptors.
// Server → host: messages of one or more Reply. Host → forked child, on the child's own
// socket, also before it is born: a JobHead, then `bytes` of body. Both ends are the same
// program, so the machine's own layout is used as it stands.
#pragma once

#include <carrel/job.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace carrel::process {

// On the control socket, each message brings the server's end of a new channel. One that
// begins with this is for a room of sandboxes; its blueprint follows (sandbox/room.h).
inline constexpr std::string_view kChannelMark = "c";
inline constexpr std::string_view kRoomMark = "r";

enum class Ask : std::uint8_t {
  kFork = 1,  // fds: the child's end of its socket; `run`: kFirstForked or above
  kSpawn,     // fds: stdin, stdout, stderr, progress
  kSignal,    // none
};

struct RequestHead {
  std::uint32_t inline_bytes = 0;
  Ask ask = Ask::kSignal;
  std::uint8_t fds = 0;
  bool body_in_file = false;
  bool group = false;          // kSignal: the whole group, not the leader alone
  std::uint64_t run = 0;       // the host's name for it; never used again
  std::int32_t signal = 0;     // kSignal
  std::uint32_t drain_ms = 0;  // kSpawn: how long leftovers may live on
};
static_assert(std::is_trivially_copyable_v<RequestHead>);

// A body longer than this goes into a file in memory.
inline constexpr std::size_t kMaxInline = 16 * 1024;
inline constexpr std::size_t kMaxMessage = 48 * 1024;

struct Reply {
  enum class What : std::uint8_t {
    kEnded,       // status, cpu_us, max_rss_kib
    kNotForked,   // error: no process, memory or descriptor for it
    kNotSpawned,  // error, stage: the program could not be executed
    kBirths,      // so many more children as kBirthsPerNote are born, or will never be
  };
  // Where a start failed. Those after kExecute belong to sandboxes (sandbox/stage.h).
  enum class Stage : std::uint8_t {
    kNone,
    kChangeFolder,
    kExecute,
    kIdentity,
    kNamespaces,
    kRoot,
    kProc,
    kTemporary,
    kLandlock,
    kCgroup,
    kMemoryCgroup,
    kPidsCgroup,
    kCpuCgroup,
    kFiles,
    kLimits,
    kCapabilities,
    kSeccomp,
    kSelfCheck,
  };
  // What was done to it; time and memory by a sandbox only.
  enum Force : std::uint8_t {
    kLeftovers = 1,  // killed what the program had left behind
    kCpuTime = 2,    // killed it for its CPU time
    kMemory = 4,     // the kernel did, for its group's memory
    kSignalled = 8,  // sent it a signal that its host had asked for, before it ended
  };
  std::uint64_t run = 0;
  What what = What::kEnded;
  Stage stage = Stage::kNone;
  std::uint8_t force = 0;
  std::int32_t status = 0;  // as from wait()
  std::int32_t error = 0;   // errno
  std::uint64_t cpu_us = 0;
  std::uint64_t max_rss_kib = 0;
};
static_assert(std::is_trivially_copyable_v<Reply>);

// Appends to a string.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  template <class T>
  requires std::is_trivially_copyable_v<T>
  void put(const T& value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  // Length, bytes, and a zero byte, so that a reader can use it as a C string in place.
  void put_text(std::string_view text) {
    put(static_cast<std::uint64_t>(text.size()));
    out_.append(text).push_back('\0');
  }

 private:
  std::string& out_;
};

// Reads what a Writer wrote. Past the end everything is zero or empty, and ok() false.
class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  template <class T>
  requires std::is_trivially_copyable_v<T> T get() {
    T value{};
    if (!take(sizeof value)) return value;
    std::memcpy(&value, in_.data() - sizeof value, sizeof value);
    return value;
  }
  std::string_view get_text() {  // into the input, a zero byte after it
    const auto size = get<std::uint64_t>();
    const char* begin = in_.data();
    if (size >= in_.size() || !take(size + 1) || begin[size] != '\0') {
      ok_ = false;
      return {};
    }
    return {begin, size};
  }
  std::string_view get_bytes(std::size_t size) {
    const char* begin = in_.data();
    return take(size) ? std::string_view(begin, size) : std::string_view();
  }
  bool ok() const { return ok_; }
  bool done() const { return in_.empty(); }
  bool whole() const { return ok_ && done(); }

 private:
  bool take(std::size_t size) {
    if (!ok_ || in_.size() < size) {
      ok_ = false;
      return false;
    }
    in_.remove_prefix(size);
    return true;
  }
  std::string_view in_;
  bool ok_ = true;
};

// Forked children have numbers from here, what is spawned has lower ones.
inline constexpr std::uint64_t kFirstForked = 1ULL << 63;

// A host asks for no more than kMostUnborn children that it does not know to be born:
// each is a descriptor that is under way, and what it says next, as a signal, is heard
// of before they are.
inline constexpr std::size_t kMostUnborn = 128;
inline constexpr std::size_t kBirthsPerNote = 32;

// Host → forked child.
struct JobHead {
  enum class What : std::uint8_t { kJob, kStop };
  What what = What::kJob;
  bool in_file = false;  // the body is a file in memory that comes with the head
  // Another job may follow, unless the child has grown past `most_memory` by then.
  bool again = false;
  std::uint32_t bytes = 0;
  std::uint64_t run = 0;  // kStop is for this job only: it may come after its end
  std::uint64_t most_memory = 0;
};
static_assert(std::is_trivially_copyable_v<JobHead>);

// The body of JobHead::What::kJob.
struct ForkJob {
  Claimed job;
  // CLOCK_MONOTONIC is one for all processes of a machine.
  std::optional<std::chrono::steady_clock::time_point> deadline;
  std::uint64_t result_bytes = 0;
  Duration kept{0};  // Context::kept()
};
void encode(Writer& out, const Claimed& job,
            std::optional<std::chrono::steady_clock::time_point> deadline,
            std::uint64_t result_bytes, Duration kept);
bool decode(Reader& in, ForkJob& job);

// The body of kSpawn: path, working folder (empty: none), argv, envp.
void encode(Writer& out, std::string_view path, std::string_view cwd,
            const std::vector<std::string>& argv, const std::vector<std::string>& env);
struct SpawnJob {  // all into the input
  const char* path = nullptr;
  const char* cwd = nullptr;  // null: none
  std::vector<char*> argv;    // ended by null
  std::vector<char*> env;
};
bool decode(Reader& in, SpawnJob& job);

}  // namespace carrel::process
