#include "work.h"

#include <carrel/sql.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace carrel::fault {

Registry sql_registry() {
  Registry registry = Registry::with_builtins();
  register_sql(registry);
  return registry;
}

namespace {

std::string first_line(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

}  // namespace

std::string Place::store() const {
  std::string url = first_line(folder / "store");
  if (url.empty()) die("no store is named in " + folder.string());
  return url;
}

std::string Place::host() const { return first_line(folder / "host"); }

std::vector<conformance::Event> events_of(const Place& place) {
  std::vector<conformance::Event> all;
  for (const char* who : kLogs) {
    auto events = or_die(conformance::read_events(place.log(who)), "events");
    all.insert(all.end(), events.begin(), events.end());
  }
  return all;
}

Result<std::unique_ptr<Store>> open_store(const std::string& url,
                                          const BackendOptions& options) {
  Registry registry = sql_registry();
  auto parsed = Url::parse(url);
  if (!parsed) return tl::unexpected<Error>(std::move(parsed.error()));
  const StoreFactory make = *or_die(registry.store(parsed->scheme), "the store");
  return make(*parsed, options);
}

Registry registry_with(const Place& place,
                       const std::shared_ptr<conformance::FaultPlan>& plan,
                       const std::shared_ptr<conformance::EventLog>& log) {
  Registry registry = sql_registry();
  registry.add_store(
      or_die(Url::parse(place.store()), "the store").scheme,
      [=](const Url&, const BackendOptions& options) -> Result<std::unique_ptr<Store>> {
        auto real = open_store(place.store(), options);
        if (!real) return real;
        auto crashing =
            std::make_unique<conformance::CrashingStore>(std::move(*real), plan);
        return std::make_unique<conformance::RecordingStore>(std::move(crashing), log);
      });
  return registry;
}

bool arm(conformance::FaultPlan& plan, const std::string& command) {
  std::istringstream in(command);
  std::string point;
  std::string mode;
  std::uint64_t after = 0;
  if (!(in >> point >> mode >> after)) return false;
  const auto at = conformance::parse_fault_point(point);
  if (!at || (mode != "kill" && mode != "stop")) return false;
  plan.arm(*at,
           mode == "kill" ? conformance::FaultMode::kKill : conformance::FaultMode::kStop,
           after);
  return true;
}

void die_with_parent() {
  const pid_t parent = getppid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) die("the driver is gone already");
}

void die(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(1);
}

}  // namespace carrel::fault
