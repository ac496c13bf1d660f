// sms_credits: check, then set. The same messages sent in nine ways, each many times.
#include <report/terminal.h>
#include <report/text.h>
#include <trial/child.h>
#include <trial/program.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "measure.h"
#include "show.h"
#include "worker.h"

namespace {

using namespace sms;
using report::Tone;

enum Exit { kOk = 0, kNotAsItMust = 1, kBadInput = 2, kInterrupted = 130 };

struct Options {
  Plan plan;
  std::size_t runs = 50;
  long delay_ms = 5;
  std::vector<std::string> only;
  std::string json, html, command;
  bool quick = false;
};

int complain(const std::string& message, int code) {
  std::fprintf(stderr, "sms_credits: %s\n", message.c_str());
  return code;
}

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

bool write_file(const std::string& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  return static_cast<bool>(out.flush());
}

// A quick run has few, in which chance may let what is wrong be right: then some more.
bool enough(const Options& options, const Group& group) {
  if (!group.runs.empty() && group.failed(group.runs.back())) return true;
  if (group.runs.size() < options.runs) return false;
  return !options.quick || group.way.right || group.count_overspent() > 0 ||
         group.runs.size() >= 50;
}

carrel::Result<void> run_all(const Options& options, Gateway& gateway, Report& report,
                             const report::Terminal& terminal) {
  print("\n" + report::head_line(terminal, columns()));
  std::size_t number = 0;
  for (const Way& way : ways()) {
    if (!options.only.empty() && std::find(options.only.begin(), options.only.end(),
                                           way.name) == options.only.end()) {
      continue;
    }
    Group group{way, options.plan.credits, options.plan.recipients, {}};
    while (!enough(options, group)) {
      print(report::live_line(terminal, way.name + ", run " +
                                            std::to_string(group.runs.size() + 1) +
                                            " of " + std::to_string(options.runs)));
      auto run = measure(options.plan, gateway, ++number, way);
      if (!run) return tl::unexpected(run.error());
      group.runs.push_back(std::move(*run));
    }
    print(report::live_line(terminal, ""));
    print(report::row_line(terminal, columns(), row(group)));
    report.groups.push_back(std::move(group));
  }
  return {};
}

void close(const Report& report, const report::Terminal& terminal) {
  std::string text = "\n" + report::title_line(terminal, "What came out");
  for (const Group& group : report.groups) {
    text += report::paragraph(
        terminal,
        group.way.name + " " +
            (report.quick
                 ? (group.count_right() == group.runs.size() ? "is right" : "overspends")
                 : verdict(group)) +
            ".");
  }
  const auto violations = judge(report);
  for (const std::string& violation : violations) {
    text += report::paragraph(terminal, "✗ " + violation, 0, Tone::kBad);
  }
  if (violations.empty()) {
    text +=
        report::paragraph(terminal,
                          "✓ As it must be: what must be right was right in every run, "
                          "and the others were seen to overspend.",
                          0, Tone::kGood);
  }
  print(text);
}

int run(const Options& options) {
  trial::become_reaper();  // before the gateway's thread
  Gateway gateway{std::chrono::milliseconds(options.delay_ms)};
  const Plan& plan = options.plan;
  Report report;
  report.facts = report::read_facts();
  report.work = report::grouped(plan.credits) + " credits, " +
                report::grouped(plan.recipients) + " recipients, " +
                std::to_string(plan.at_once) +
                " jobs at once in each process; a gateway on this machine that takes " +
                std::to_string(options.delay_ms) + " ms a message; the credits are in " +
                plan.store.substr(0, plan.store.find(':')) + ", beside the jobs; " +
                std::to_string(options.runs) + " runs of each way.";
  report.command = options.command;
  report.quick = options.quick;
  const auto terminal = report::Terminal::of(STDOUT_FILENO);
  print(report::paragraph(terminal, report.work));
  const auto start = std::chrono::steady_clock::now();
  if (auto done = run_all(options, gateway, report, terminal); !done) {
    return complain(done.error().message, done.error().code == carrel::Code::kCancelled
                                              ? kInterrupted
                                              : kBadInput);
  }
  report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  close(report, terminal);
  if (!options.json.empty() &&
      !write_file(options.json, nlohmann::json(report).dump(2) + "\n")) {
    return complain("cannot write " + options.json, kBadInput);
  }
  if (!options.html.empty() && !write_file(options.html, page(report))) {
    return complain("cannot write " + options.html, kBadInput);
  }
  return judge(report).empty() ? kOk : kNotAsItMust;
}

}  // namespace

int main(int argc, char** argv) {
  // The program is its own trial and its own workers; see trial.h and worker.h.
  if (argc == 3 && std::strcmp(argv[1], "--trial") == 0) return run_trial(argv[2]);
  if (argc == 4 && std::strcmp(argv[1], "--worker") == 0) {
    return run_worker(argv[2], std::stoul(argv[3]));
  }

  Options options;
  options.plan.store = "sqlite:credits.db?synchronous=NORMAL";
  CLI::App app(
      "A community with a few credits and many recipients: jobs that check the credits, "
      "send,\nand take one off, guarded in nine ways.\nExit code: 0 all as it must be, 1 "
      "not so, 2 bad input.",
      "sms_credits");
  app.add_option("--runs", options.runs, "Of each way")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--credits", options.plan.credits)
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--recipients", options.plan.recipients)
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--at-once", options.plan.at_once, "Jobs at the same time in a process")
      ->check(CLI::Range(2, 64))
      ->capture_default_str();
  app.add_option("--delay", options.delay_ms,
                 "Milliseconds that the gateway takes for a message")
      ->check(CLI::Range(0, 10'000))
      ->capture_default_str();
  std::vector<std::string> names;
  for (const Way& way : ways()) names.push_back(way.name);
  app.add_option("--way", options.only, "Only this one; may be said again")
      ->check(CLI::IsMember(names));
  app.add_option("--store", options.plan.store,
                 "Where jobs and credits are: sqlite:FILE, postgresql://…, mysql://…")
      ->capture_default_str();
  app.add_flag(
      "--quick", options.quick,
      "Two runs of each way with fewer credits; some more where chance was kind");
  app.add_option("--json", options.json, "Write every figure to this file");
  app.add_option("--html", options.html, "Write a page with plots");
  if (const auto code = trial::parse(app, argc, argv)) return *code;
  const std::string scheme = options.plan.store.substr(0, options.plan.store.find(':'));
  if (scheme != "sqlite" && scheme != "postgresql" && scheme != "mysql") {
    return complain(
        "--store: the credits need a database that worker processes share: "
        "sqlite:, postgresql: or mysql:",
        kBadInput);
  }
  if (options.quick) {
    if (app.count("--runs") == 0) options.runs = 2;
    if (app.count("--credits") == 0) options.plan.credits = 40;
    if (app.count("--recipients") == 0) options.plan.recipients = 150;
  }
  if (options.plan.recipients <= options.plan.credits) {
    return complain("there must be more recipients than credits", kBadInput);
  }
  if (auto ok = trial::check({options.json, options.html}, {options.plan.store}); !ok) {
    return complain(ok.error().message, kBadInput);
  }
  options.command = trial::same_run("sms_credits", argc, argv);
  return run(options);
}
