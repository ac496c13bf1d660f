// convert_web: a converter of 2-D tracking data. As a web site (--serve); or a comparison
// of what a host keeps of what leaks, by isolation.
#include <carrel/process.h>
#include <report/terminal.h>
#include <report/text.h>
#include <trial/child.h>
#include <trial/program.h>
#include <trial/scratch.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>

#include "measure.h"
#include "show.h"
#include "web/serve.h"

namespace {

using namespace convert_web;
using report::Tone;

enum Exit { kOk = 0, kNotAsItMust = 1, kBadInput = 2, kInterrupted = 130 };

struct Options {
  std::size_t count = 200;
  std::uint64_t leak_mib = 50;
  std::size_t at_once = 4;
  std::vector<std::string> stores;
  std::string json, html, command;
  bool quick = false;
  bool serve = false;
  ServeOptions web;
};

int complain(const std::string& message, int code) {
  std::fprintf(stderr, "convert_web: %s\n", message.c_str());
  return code;
}

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

// kCancelled: interrupted.
carrel::Result<void> run_all(const Plan& plan, Report& report,
                             const report::Terminal& terminal) {
  const std::vector<Trial> all = trials(plan);
  print("\n" + report::title_line(terminal, "every conversion leaks") +
        report::head_line(terminal, columns()));
  for (std::size_t i = 0; i < all.size(); ++i) {
    Trial trial = all[i];
    print(report::live_line(terminal, "trying " + std::to_string(i + 1) + " of " +
                                          std::to_string(all.size()) + ": " +
                                          name_of(trial)));
    if (auto done = measure(plan, i + 1, trial); !done) return done;
    print(report::live_line(terminal, "") +
          report::row_line(terminal, columns(), row(trial)));
    report.trials.push_back(std::move(trial));
  }
  return {};
}

void close(const Report& report, const report::Terminal& terminal) {
  std::string text = "\n" + report::title_line(terminal, "What came out");
  for (const std::string& finding : findings(report)) {
    text += report::paragraph(terminal, finding);
  }
  const auto violations = judge(report);
  for (const std::string& violation : violations) {
    text += report::paragraph(terminal, "✗ " + violation, 0, Tone::kBad);
  }
  if (violations.empty()) {
    text +=
        report::paragraph(terminal,
                          "✓ As it must be: every conversion came out right, and what "
                          "leaked in a process died with it. " +
                              report::fixed(report.seconds, 0) + " s in all.",
                          0, Tone::kGood);
  }
  print(text);
}

int compare(const Options& options) {
  Plan plan{options.count, options.leak_mib << 20, options.at_once, {}};
  for (const std::string& url : options.stores) {
    plan.stores.emplace_back(url.substr(0, url.find(':')), url);
  }
  trial::become_reaper();
  Report report;
  report.facts = report::read_facts();
  plan.leak_bytes = affordable_leak(plan);
  if (plan.leak_bytes == 0) {
    return complain("there is not enough free memory to show a leak", kBadInput);
  }
  const std::uint64_t leak = plan.leak_bytes >> 20;
  if (leak < options.leak_mib) {
    report.bounded = "Each leaks " + std::to_string(leak) + " MiB and not " +
                     std::to_string(options.leak_mib) +
                     ", for this machine has no more memory free.";
  }
  report.work =
      report::grouped(plan.count) + " conversions, " + std::to_string(plan.at_once) +
      " at once, of one shot in the formats of boujou, 3DEqualizer, PFTrack, Nuke "
      "and Shake, each to each, with ten broken files among them; each leaks " +
      std::to_string(leak) + " MiB.";
  report.command = options.command;
  report.quick = options.quick;
  const auto terminal = report::Terminal::of(STDOUT_FILENO);
  print(report::paragraph(terminal, report.work));
  if (!report.bounded.empty()) print(report::paragraph(terminal, report.bounded));
  const auto start = std::chrono::steady_clock::now();
  if (auto done = run_all(plan, report, terminal); !done) {
    return complain(done.error().message, done.error().code == carrel::Code::kCancelled
                                              ? kInterrupted
                                              : kBadInput);
  }
  report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  close(report, terminal);
  if (!options.json.empty() &&
      !trial::write_file(options.json, nlohmann::json(report).dump(2) + "\n")) {
    return complain("cannot write " + options.json, kBadInput);
  }
  if (!options.html.empty() && !trial::write_file(options.html, page(report))) {
    return complain("cannot write " + options.html, kBadInput);
  }
  return judge(report).empty() ? kOk : kNotAsItMust;
}

void add_web(CLI::App& app, Options& options) {
  const std::string group = "The web site";
  ServeOptions& web = options.web;
  CLI::Option* const serving =
      app.add_flag("--serve", options.serve, "Be the web site, until it is interrupted")
          ->group(group);
  for (const char* of_the_comparison :
       {"--count", "--leak", "--quick", "--json", "--html"}) {
    serving->excludes(of_the_comparison);
  }
  app.add_option("--port", web.port, "Of this machine; 0: one that is free")
      ->capture_default_str()
      ->needs(serving)
      ->group(group);
  app.add_option("--address", web.address, "Where it listens")
      ->capture_default_str()
      ->needs(serving)
      ->group(group);
  app.add_option("--name", web.names,
                 "Another name that browsers may call it by, as behind a proxy")
      ->needs(serving)
      ->group(group);
  app.add_option("--data", web.folder,
                 "Its files, and its jobs unless --store says other")
      ->capture_default_str()
      ->needs(serving)
      ->group(group);
  app.add_option("--timeout", web.timeout_s, "Seconds that one conversion may take")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str()
      ->needs(serving)
      ->group(group);
  app.add_option("--max-upload", web.most_mib, "MiB that one file may have")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str()
      ->needs(serving)
      ->group(group);
  app.add_option("--smtp", web.smtp, "A mail server, smtp://host:port …")
      ->needs(serving)
      ->group(group);
  app.add_option("--mail-to", web.mail_to, "… and the operator, who hears of each file")
      ->needs(serving)
      ->group(group);
  app.add_option("--mail-from", web.mail_from, "The sender")
      ->capture_default_str()
      ->needs(serving)
      ->group(group);
  app.add_option("--slow", web.slow_ms,
                 "Milliseconds that each conversion takes at least, to watch the bar")
      ->check(CLI::Range(0, 600'000))
      ->needs(serving)
      ->group(group);
  app.add_option("--hold", web.hold)->group("");  // for tests; see conversion.h
}

}  // namespace

int main(int argc, char** argv) {
  // The program is its own trial process (runner.h), and its own converter
  // (conversion.h).
  if (argc == 3 && std::strcmp(argv[1], "--trial") == 0) return run_trial(argv[2]);
  if (argc == 2 && std::strcmp(argv[1], "--convert") == 0) return conversion_program();
  // A site runs for months: should what forks its conversions be killed, it is made again
  // by this program.
  carrel::main_hook(argc, argv, add_conversions);

  Options options;
  CLI::App app(
      "Converts files of tracking data with code that leaks: on threads, behind a mutex, "
      "and\neach in a process of its own; and shows what the host keeps of it. With "
      "--serve it "
      "is a\nweb site that converts.\n"
      "Exit code: 0 all as it must be, 1 not so, 2 bad input.",
      "convert_web");
  app.add_option("--count", options.count, "Conversions of each trial")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--leak", options.leak_mib, "MiB that each leaks")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--at-once", options.at_once, "Conversions at the same time")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option(
      "--store", options.stores,
      "Where the jobs are kept; several to compare them. By default memory: and "
      "sqlite:jobs.db");
  app.add_flag("--quick", options.quick, "Ten seconds: few conversions, smaller leaks");
  app.add_option("--json", options.json, "Write every figure to this file");
  app.add_option("--html", options.html, "Write a page with plots");
  add_web(app, options);
  if (const auto code = trial::parse(app, argc, argv)) return *code;
  if (options.serve) {
    if (options.stores.size() > 1)
      return complain("--serve takes one --store", kBadInput);
    if (!options.stores.empty()) options.web.store = options.stores[0];
    if (options.web.smtp.empty() != options.web.mail_to.empty()) {
      return complain("--smtp and --mail-to go together", kBadInput);
    }
    if (const std::string& url = options.web.smtp;
        !url.empty() && !url.starts_with("smtp://") && !url.starts_with("smtps://")) {
      // Not the URL itself, which may have a password.
      return complain("--smtp takes the URL of a mail server: smtp://… or smtps://…",
                      kBadInput);
    }
    options.web.at_once = options.at_once;
    return serve(options.web);
  }
  if (options.quick && app.count("--count") == 0) options.count = 35;
  if (options.quick && app.count("--leak") == 0) options.leak_mib = 16;
  if (options.stores.empty()) options.stores = {"memory:", "sqlite:jobs.db"};
  if (auto ok = trial::check({options.json, options.html}, options.stores); !ok) {
    return complain(ok.error().message, kBadInput);
  }
  options.command = trial::same_run("convert_web", argc, argv);
  return compare(options);
}
