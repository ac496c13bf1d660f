// A profile, made ready for the process that builds sandboxes: checked, its filter
// compiled, its mounts complete.
//
// Made in the host, once for each profile of an engine; sent to the process server, whose
// image knows neither configuration nor libseccomp.
#pragma once

#include <carrel/sandbox.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace carrel::sandbox {

// Where a sandbox with a root of its own has its only folder to write, and its own files.
inline constexpr const char* kTemporary = "/tmp";
inline constexpr const char* kWorkFolder = "/tmp/work";
// Who the program believes to be, where it has namespaces.
inline constexpr unsigned kInnerUser = 1000;

// What a sandbox does about something that a machine may lack.
enum class Want : std::uint8_t {
  kOff,
  kIfThere,  // allow_missing names it
  kMust,
};

struct Limits {  // 0: none
  std::uint64_t cpu_seconds = 0;
  std::uint64_t address_space = 0;
  std::uint64_t memory = 0;
  std::uint64_t stack = 0;
  std::uint64_t nproc = 0;
  std::uint64_t open_files = 0;
  std::uint64_t fsize = 0;
  std::uint64_t tmpfs_size = 0;
  std::uint64_t tmpfs_files = 0;
  double cpus = 0;
};

// All in one piece, as the wire takes it.
struct Plan {
  Limits limits;
  std::uint32_t user = 65534;  // where the host is root
  std::uint32_t warm = 0;
  bool namespaces = true;
  bool own_network = true;
  Want proc = Want::kMust;
  Want landlock = Want::kMust;
  Want cgroup = Want::kOff;  // a group of its own: killed and accounted as one
  Want memory_cgroup = Want::kOff;
  Want pids_cgroup = Want::kOff;
  Want cpu_cgroup = Want::kOff;
};

struct Blueprint {
  Plan plan;
  std::vector<SandboxMount> mounts;  // absolute; dst never empty
  std::string filter;  // struct sock_filter, one after the other; empty: none
  std::string cgroup_parent;
};

// kInvalid: what the profile asks for cannot be; kUnsupported: the filter cannot be made
// for this processor. The tier is not kNone.
Result<Blueprint> draw(const SandboxProfile& profile);

// What a program in that sandbox sees as `path` is this of the host; empty: nothing is
// there, or it may not be opened. Links are not followed.
std::string host_path(const SandboxProfile& profile, std::string_view path);

std::string encode(const Blueprint& blueprint);
std::optional<Blueprint> decode(std::string_view in);

}  // namespace carrel::sandbox
