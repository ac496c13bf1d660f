// What a program that nobody trusts runs inside: a profile, [sandbox.NAME] of the
// configuration. What each tier gives, and what it needs of the machine, is in
// isolation/README.md.
#pragma once

#include <carrel/result.h>

#include <cstdint>
#include <string>
#include <vector>

namespace carrel {

enum class SandboxTier : std::uint8_t {
  kNone,        // a plain program, as trusted as the host itself
  kRestricted,  // no namespaces: Landlock, a filter of system calls, limits
  kStandard,    // all that, in namespaces and a root of its own
  kFull,        // all that, in a control group with bounds of its own
};
enum class SandboxNetwork : std::uint8_t {
  kNone,
  kHost,  // whatever the host can reach
};
enum class SandboxSyscalls : std::uint8_t {
  kDefault,  // what programs need; not what attacks need
  kStrict,   // beyond that no shared memory, no other personality, and without a network
             // no sockets but pairs of streams and packets
  kOff,
};

// A file or folder of the host that the program sees.
struct SandboxMount {
  std::string src;
  std::string dst;  // empty: as src
  bool ro = true;
  bool operator==(const SandboxMount&) const = default;
};

// A limit of 0 is none.
struct SandboxProfile {
  SandboxTier tier = SandboxTier::kStandard;
  // What may be missing on this machine, by the names in sandbox_features(). Anything
  // else that is missing makes the sandbox unavailable, when the engine starts.
  std::vector<std::string> allow_missing;

  Duration cpu_time = std::chrono::seconds(60);  // user + system; whole seconds
  std::uint64_t address_space = 1ULL << 30;      // of each process
  std::uint64_t memory = 0;                      // of all together; tier full
  std::uint64_t stack = 8ULL << 20;
  std::uint64_t nproc = 64;           // processes and threads at once
  std::uint64_t open_files = 256;     // of each process; at most half of its host's
  std::uint64_t fsize = 64ULL << 20;  // of each file it writes
  std::uint64_t stderr_limit = 16ULL << 20;  // what it may write there and to 3
  std::uint64_t tmpfs_size = 64ULL << 20;    // of its /tmp, where its folder is: not in
                                             // restricted, whose folder is on the disk
  std::uint64_t tmpfs_files = 4096;          // how many may be in there
  double cpus = 0;                           // processors' worth of time; tier full

  std::vector<SandboxMount> mounts;  // beside /usr and what it needs
  SandboxNetwork network = SandboxNetwork::kNone;
  SandboxSyscalls seccomp = SandboxSyscalls::kDefault;
  bool landlock = true;
  std::string cgroup_parent;   // a delegated folder of cgroup v2; empty: the host's own
  std::uint32_t user = 65534;  // of the host, which a host that is root gives it
  std::uint64_t warm = 2;      // sandboxes made ahead of jobs; half while some run
  std::string files_in;        // member of the arguments with files for its folder
  std::vector<std::string> files_out;  // files of its folder that become its result

  bool operator==(const SandboxProfile&) const = default;
};

// The names that allow_missing takes.
const std::vector<std::string>& sandbox_features();

}  // namespace carrel
