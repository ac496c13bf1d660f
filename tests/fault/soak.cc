// The soak: chaos (chaos.h) round after round on one database, for hours.
//
//   carrel_fault_soak --store sqlite|postgresql|mariadb [--isolation thread|fork|exec]
//                     [--jobs N] [--kills N] [--for DURATION] [--seed N] [--report FILE]
//
// Until so many jobs have been done and so many processes killed, or as long as it is
// told. A round's rows are checked, and purged while later rounds run, so that neither
// memory nor disk grows with the number of rounds; what should not grow at all is
// watched: the memory and descriptors of a worker that lives through all of it, and the
// database's log and hot table. Ends with 1 where something was lost or done twice, or
// has grown by more than 5 %.
//
// The report is JSON, a line a round. One that is there already is gone on with.
#include <carrel/config.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <random>
#include <string>

#include "chaos.h"
#include "growth.h"

namespace carrel::fault {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

constexpr double kMostGrowth = 5;  // percent

struct Options {
  std::string store;
  std::string isolation = "thread";
  std::size_t jobs = 1'000'000;
  std::size_t kills = 500;
  std::string time;
  std::optional<unsigned> seed;
  std::string report;
};

struct Done {
  std::size_t rounds = 0;
  std::size_t jobs = 0;
  std::size_t kills = 0;
  std::size_t broken = 0;
};

const DatabaseKind& kind_of(const std::string& name) {
  for (const DatabaseKind* kind : {&kSqlite, &kPostgresql, &kMariadb}) {
    if (name == kind->name) return *kind;
  }
  die("there is no such store: " + name);
}

Amount amount_of(const DatabaseKind& kind) {
  const std::size_t of_server = kind.has_server ? 1 : 0;
  return {10'000, 8, 3, of_server, 2 * of_server};
}

Done read_report(const std::string& file, const std::string& store) {
  Done done;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const Json round = Json::parse(line, nullptr, false);
    if (round.is_discarded()) break;  // the last line of one that was killed
    if (round.at("store") != store) die(file + " is the report of another store");
    ++done.rounds;
    done.jobs += round.at("jobs").get<std::size_t>();
    done.kills += round.at("kills").get<std::size_t>();
    done.broken += round.at("broken").size();
  }
  return done;
}

// What happened is of use to whoever looks for the reason.
void keep_events(const Place& place, const std::string& report) {
  const fs::path to = report.empty() ? "soak.events" : report + ".events";
  std::error_code error;
  fs::create_directories(to, error);
  for (const char* who : kLogs) {
    fs::copy_file(place.log(who), to / place.log(who).filename(),
                  fs::copy_options::overwrite_existing, error);
  }
  std::cout << "the events are in " << to.string() << "\n";
}

int soak(const Options& options) {
  const DatabaseKind& kind = kind_of(options.store);
  if (const std::string missing = kind.missing(); !missing.empty()) {
    die(missing + " is not installed");
  }
  std::optional<SteadyClock::time_point> end;
  if (!options.time.empty()) {
    end = SteadyClock::now() + or_die(parse_duration(options.time), "--for");
  }
  const Amount amount = amount_of(kind);
  Done done = read_report(options.report, options.store);
  std::ofstream report(options.report, std::ios::app);
  const unsigned seed = options.seed.value_or(std::random_device{}() % 1'000'000);
  std::cout << kind.name << ": seed " << seed << ", " << done.jobs << " jobs and "
            << done.kills << " kills done before" << std::endl;
  Chaos chaos(
      kind,
      {.witness = true, .isolation = options.isolation, .max_rows = 3 * amount.jobs});
  GrowthWatch watch;
  const auto more = [&] {
    return end ? SteadyClock::now() < *end
               : done.jobs < options.jobs || done.kills < options.kills;
  };
  for (unsigned n = 0; more(); ++n) {
    const auto start = SteadyClock::now();
    const auto [checked, host, faults, at_named_points, slowest_end] =
        chaos.round(amount, seed + n);
    const std::chrono::duration<double> took = SteadyClock::now() - start;
    std::vector<std::string> broken = checked.broken;
    if (checked.completed != checked.rows ||
        checked.rows - checked.unnamed + checked.met != amount.jobs ||
        checked.acknowledged != amount.jobs) {
      broken.push_back(std::to_string(checked.completed) + " jobs are completed of " +
                       std::to_string(amount.jobs - checked.met + checked.unnamed));
    }
    for (std::string& wrong : chaos.database().unsound()) {
      broken.push_back(std::move(wrong));
    }
    Json line = {{"store", kind.name},
                 {"seed", seed + n},
                 {"jobs", amount.jobs},
                 {"kills", amount.kills},
                 {"stops", amount.stops},
                 {"restarts", amount.restarts},
                 {"cuts", amount.cuts},
                 {"at_named_points", at_named_points},
                 {"slowest_end_ms", slowest_end.count()},
                 {"runs", checked.runs},
                 {"repeated", checked.repeated},
                 {"met", checked.met},
                 {"unnamed", checked.unnamed},
                 {"host_enqueued", host.enqueued},
                 {"host_completed", host.completed},
                 {"stale", checked.stale_finishes + checked.stale_beats},
                 {"seconds", took.count()},
                 {"broken", broken}};
    const auto note = [&](const std::string& name, std::uintmax_t value) {
      watch.add(name, value);
      line[name] = value;
    };
    note("worker_memory", resident_bytes(chaos.witness()));
    note("worker_descriptors", open_descriptors(chaos.witness()));
    for (const auto& [name, bytes] : chaos.database().growth()) note(name, bytes);
    report << line.dump() << std::endl;
    std::cout << line.dump() << std::endl;
    ++done.rounds;
    done.jobs += amount.jobs;
    done.kills += amount.kills;
    done.broken += broken.size();
    if (!broken.empty()) {
      keep_events(chaos.place(), options.report);
      break;
    }
  }
  const auto grown = watch.grown(kMostGrowth);
  std::cout << kind.name << ": " << done.rounds << " rounds, " << done.jobs << " jobs, "
            << done.kills << " kills, " << done.broken << " rules broken\n"
            << watch.to_string();
  for (const std::string& what : grown) std::cout << "grown: " << what << "\n";
  return done.broken == 0 && grown.empty() ? 0 : 1;
}

}  // namespace
}  // namespace carrel::fault

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a child that was killed does not read
  carrel::fault::Options options;
  CLI::App app("Kills workers for hours, and looks for what is lost or done twice.",
               "carrel_fault_soak");
  app.add_option("--store", options.store)->required();
  app.add_option("--isolation", options.isolation, "of the jobs: thread, fork or exec");
  app.add_option("--jobs", options.jobs);
  app.add_option("--kills", options.kills);
  app.add_option("--for", options.time, "instead of a number of jobs: 90m, 8h");
  app.add_option("--seed", options.seed);
  app.add_option("--report", options.report, "a line of JSON a round; gone on with");
  CLI11_PARSE(app, argc, argv);
  try {
    return carrel::fault::soak(options);
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
