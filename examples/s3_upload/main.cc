// s3_upload: the same uploads through one client that is not thread-safe, four ways.
#include <report/terminal.h>
#include <report/text.h>
#include <trial/child.h>
#include <trial/program.h>
#include <trial/scratch.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <optional>

#include "measure.h"
#include "show.h"

namespace {

using namespace s3;
using report::Tone;

enum Exit { kOk = 0, kNotAsItMust = 1, kBadInput = 2, kInterrupted = 130 };

struct Options {
  std::string files = "/usr/include";
  std::size_t count = 1000;
  std::size_t at_once = 8;
  long delay_ms = 100;
  std::vector<std::string> stores;
  Settings server;
  std::string json, html, command;
  bool quick = false;
};

int complain(const std::string& message, int code) {
  std::fprintf(stderr, "s3_upload: %s\n", message.c_str());
  return code;
}

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

std::vector<std::pair<std::string, std::string>> stores_of(
    const std::vector<std::string>& urls) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& url : urls) out.emplace_back(url.substr(0, url.find(':')), url);
  return out;
}

std::string work_line(const Options& options, const Plan& plan) {
  std::string text = report::grouped(plan.files.size()) + " files of " + options.files +
                     ", " + std::to_string(plan.at_once) + " uploads at once, to ";
  if (plan.stand_in == nullptr) return text + options.server.endpoint + ".";
  return text +
         "a stand-in for S3 on this machine that checks every signature and answers "
         "an upload after " +
         std::to_string(options.delay_ms) + " ms.";
}

// kCancelled: interrupted.
carrel::Result<void> run_all(const Plan& plan, Report& report,
                             const report::Terminal& terminal) {
  std::vector<Trial> all = trials(plan);
  bool faults = true;
  for (std::size_t i = 0; i < all.size(); ++i) {
    print(report::live_line(terminal, "trying " + std::to_string(i + 1) + " of " +
                                          std::to_string(all.size()) + ": " +
                                          name_of(all[i])));
    if (auto done = measure(plan, i + 1, all[i]); !done) return done;
    report.trials.push_back(all[i]);
    print(report::live_line(terminal, ""));
    if (all[i].faults != faults || i == 0) {
      faults = all[i].faults;
      print("\n" +
            report::title_line(terminal, faults ? "with faults" : "as it should go") +
            report::head_line(terminal, columns()));
    }
    print(report::row_line(terminal, columns(), row(report, report.trials.back())));
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
    text += report::paragraph(terminal,
                              "✓ As it must be: only what shared the client among "
                              "threads spoiled anything, and "
                              "nothing was left behind. " +
                                  report::fixed(report.seconds, 0) + " s in all.",
                              0, Tone::kGood);
  }
  print(text);
}

int run(const Options& options) {
  Plan plan;
  auto files = choose_files(options.files, options.count);
  if (!files) return complain(files.error().message, kBadInput);
  plan.files = std::move(*files);
  plan.stores = stores_of(options.stores);
  plan.at_once = options.at_once;
  plan.server = options.server;
  trial::become_reaper();  // before the stand-in's thread
  std::optional<StandIn> stand_in;
  if (plan.server.endpoint.empty()) {
    plan.server.bucket = "example";
    plan.server.access_key = "AKIAEXAMPLE";
    plan.server.secret_key = "not a secret: the stand-in's";
    stand_in.emplace(StandInOptions{{plan.server.access_key, plan.server.secret_key},
                                    std::chrono::milliseconds(options.delay_ms),
                                    10});
    plan.server.endpoint = stand_in->endpoint();
    plan.stand_in = &*stand_in;
  } else if (plan.server.bucket.empty() || plan.server.access_key.empty() ||
             plan.server.secret_key.empty()) {
    return complain(
        "--endpoint needs --bucket, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in "
        "the "
        "environment",
        kBadInput);
  }

  Report report;
  report.facts = report::read_facts();
  report.work = work_line(options, plan);
  report.command = options.command;
  report.quick = options.quick;
  report.speed_counts = plan.stand_in != nullptr && options.delay_ms >= 100 &&
                        plan.files.size() >= 1000 && plan.at_once == 8;
  const auto terminal = report::Terminal::of(STDOUT_FILENO);
  print(report::paragraph(terminal, report.work));
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

}  // namespace

int main(int argc, char** argv) {
  // The program is its own trial process; see runner.h.
  if (argc == 3 && std::strcmp(argv[1], "--trial") == 0) return run_trial(argv[2]);

  Options options;
  CLI::App app(
      "Uploads the same files through one S3 client that is not thread-safe: on bare "
      "threads,\nbehind a mutex, and each in a process of its own.\nExit code: 0 all as "
      "it "
      "must be, 1 not so, 2 bad input.",
      "s3_upload");
  app.add_option("--files", options.files, "Upload files from below this folder")
      ->capture_default_str();
  app.add_option("--count", options.count, "So many of them, 64 KiB at most each")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--at-once", options.at_once, "Uploads at the same time")
      ->check(CLI::Range(1, 512))
      ->capture_default_str();
  app.add_option("--delay", options.delay_ms,
                 "Milliseconds before the stand-in answers an upload")
      ->check(CLI::Range(0, 10'000))
      ->capture_default_str();
  app.add_option(
      "--store", options.stores,
      "Where the jobs are kept; several to compare them. By default memory: and "
      "sqlite:jobs.db");
  app.add_flag("--quick", options.quick,
               "Half a minute: few files, checks the results, says little about speed");
  app.add_option("--endpoint", options.server.endpoint,
                 "An S3 server to use instead of the stand-in, https://…");
  app.add_option("--region", options.server.region)->capture_default_str();
  app.add_option("--bucket", options.server.bucket, "That exists; objects stay in it");
  app.add_option("--access-key", options.server.access_key)->envname("AWS_ACCESS_KEY_ID");
  app.add_option("--secret-key", options.server.secret_key)
      ->envname("AWS_SECRET_ACCESS_KEY");
  app.add_option("--json", options.json, "Write every figure to this file");
  app.add_option("--html", options.html, "Write a page with plots");
  if (const auto code = trial::parse(app, argc, argv)) return *code;
  if (options.quick && app.count("--count") == 0) options.count = 48;
  if (options.stores.empty()) options.stores = {"memory:", "sqlite:jobs.db"};
  if (auto ok = trial::check({options.json, options.html}, options.stores); !ok) {
    return complain(ok.error().message, kBadInput);
  }
  options.command = trial::same_run("s3_upload", argc, argv);
  return run(options);
}
