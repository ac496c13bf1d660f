#include "blueprint.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "filter.h"
#include "landlock.h"
#include "wire.h"

namespace carrel::sandbox {
namespace {

using process::Reader;
using process::Writer;

constexpr const char* kProc = "proc";
constexpr const char* kLandlock = "landlock";
constexpr const char* kCgroup = "cgroup";
constexpr const char* kMemoryCgroup = "memory_cgroup";
constexpr const char* kPidsCgroup = "pids_cgroup";
constexpr const char* kCpuCgroup = "cpu_cgroup";

// What most programs need beside /usr, if the host has it.
constexpr std::array kSystem = {"/usr", "/etc/alternatives", "/etc/ld.so.cache"};
// Links into /usr on most systems, and then made as such; folders on others.
constexpr std::array kMaybeFolders = {"/bin",   "/sbin",  "/lib",
                                      "/lib32", "/lib64", "/libx32"};

bool is_link(const char* path) {
  struct stat info {};
  return lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
}

std::vector<SandboxMount> system_mounts() {
  std::vector<SandboxMount> mounts;
  for (const char* path : kSystem) {
    if (access(path, F_OK) == 0) mounts.push_back({path, path, true});
  }
  for (const char* path : kMaybeFolders) {
    if (access(path, F_OK) == 0 && !is_link(path)) mounts.push_back({path, path, true});
  }
  return mounts;
}

Want wanted(const SandboxProfile& profile, const char* feature) {
  const auto& may = profile.allow_missing;
  return std::find(may.begin(), may.end(), feature) == may.end() ? Want::kMust
                                                                 : Want::kIfThere;
}

}  // namespace

Result<Blueprint> draw(const SandboxProfile& profile) {
  Blueprint blueprint;
  Plan& plan = blueprint.plan;
  plan.limits = {static_cast<std::uint64_t>(
                     std::ceil(std::chrono::duration<double>(profile.cpu_time).count())),
                 profile.address_space,
                 profile.memory,
                 profile.stack,
                 profile.nproc,
                 profile.open_files,
                 profile.fsize,
                 profile.tmpfs_size,
                 profile.tmpfs_files,
                 profile.cpus};
  plan.user = profile.user;
  plan.warm = static_cast<std::uint32_t>(profile.warm);
  plan.namespaces = profile.tier != SandboxTier::kRestricted;
  plan.own_network = profile.network == SandboxNetwork::kNone;
  plan.proc = wanted(profile, kProc);
  plan.landlock = profile.landlock ? wanted(profile, kLandlock) : Want::kOff;
  if (profile.tier == SandboxTier::kFull) {
    plan.cgroup = wanted(profile, kCgroup);
    plan.memory_cgroup = profile.memory > 0 ? wanted(profile, kMemoryCgroup) : Want::kOff;
    plan.pids_cgroup = profile.nproc > 0 ? wanted(profile, kPidsCgroup) : Want::kOff;
    plan.cpu_cgroup = profile.cpus > 0 ? wanted(profile, kCpuCgroup) : Want::kOff;
  }
  blueprint.cgroup_parent = profile.cgroup_parent;
  blueprint.mounts = system_mounts();
  for (SandboxMount mount : profile.mounts) {
    if (mount.dst.empty()) mount.dst = mount.src;
    blueprint.mounts.push_back(std::move(mount));
  }
  // What lies within another comes after it.
  std::stable_sort(blueprint.mounts.begin(), blueprint.mounts.end(),
                   [](const auto& a, const auto& b) { return a.dst < b.dst; });
  const int landlock = landlock_version();
  const Surroundings around{
      .namespaces = plan.namespaces,
      // Those with an abstract name are of the network that it shares.
      .unix_scope =
          plan.namespaces && (plan.own_network ||
                              (plan.landlock != Want::kOff && landlock_scopes(landlock))),
      .truncation = plan.namespaces || landlock_truncates(landlock)};
  auto filter = compile_filter(profile.seccomp, profile.network, around);
  if (!filter) return tl::unexpected<Error>(std::move(filter.error()));
  blueprint.filter = std::move(*filter);
  return blueprint;
}

std::string host_path(const SandboxProfile& profile, std::string_view path) {
  std::string_view within;  // the innermost mount that has it
  std::string_view source;
  const auto look = [&](std::string_view dst, std::string_view src) {
    const bool has = path.starts_with(dst) &&
                     (path.size() == dst.size() || dst == "/" || path[dst.size()] == '/');
    if (!has || dst.size() < within.size()) return;
    within = dst;
    source = src;
  };
  for (const char* folder : kSystem) look(folder, folder);
  for (const char* folder : kMaybeFolders) look(folder, folder);
  const bool moves = profile.tier != SandboxTier::kRestricted;
  for (const auto& mount : profile.mounts) {
    look(moves && !mount.dst.empty() ? mount.dst : mount.src, mount.src);
  }
  if (within.empty()) return {};
  return std::string(source) + std::string(path.substr(within.size()));
}

std::string encode(const Blueprint& blueprint) {
  std::string out;
  Writer writer(out);
  writer.put(blueprint.plan);
  writer.put_text(blueprint.cgroup_parent);
  writer.put_text(blueprint.filter);
  writer.put(static_cast<std::uint32_t>(blueprint.mounts.size()));
  for (const auto& mount : blueprint.mounts) {
    writer.put_text(mount.src);
    writer.put_text(mount.dst);
    writer.put(mount.ro);
  }
  return out;
}

std::optional<Blueprint> decode(std::string_view in) {
  Reader reader(in);
  Blueprint blueprint;
  blueprint.plan = reader.get<Plan>();
  blueprint.cgroup_parent = reader.get_text();
  blueprint.filter = reader.get_text();
  const auto count = reader.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
    auto& mount = blueprint.mounts.emplace_back();
    mount.src = reader.get_text();
    mount.dst = reader.get_text();
    mount.ro = reader.get<bool>();
  }
  if (!reader.whole()) return std::nullopt;
  return blueprint;
}

}  // namespace carrel::sandbox

namespace carrel {

const std::vector<std::string>& sandbox_features() {
  using namespace sandbox;
  static const std::vector<std::string> features = {
      kProc, kLandlock, kCgroup, kMemoryCgroup, kPidsCgroup, kCpuCgroup};
  return features;
}

}  // namespace carrel
