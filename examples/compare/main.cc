// compare: runs the same work through every combination of queue, store and isolation
// that compare.toml names, and shows what each costs and whether its results are right.
#include <trial/child.h>
#include <trial/program.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "cell.h"
#include "measure.h"
#include "page.h"
#include "show.h"
#include "tables.h"

namespace {

using namespace compare;
namespace fs = std::filesystem;

enum Exit { kOk = 0, kNotAsItMust = 1, kBadInput = 2, kInterrupted = 130 };

struct Options {
  std::string config, from, json, html, markdown, command;
  bool quick = false;
};

int complain(const std::string& message, int code) {
  std::fprintf(stderr, "compare: %s\n", message.c_str());
  return code;
}

std::string name_of(const Combination& c) {
  return c.queue.name + " × " + c.store.name + ", " + c.isolation.name + ", " +
         std::to_string(c.concurrency) + " at once";
}

// kCancelled: interrupted.
carrel::Result<void> run_all(const Plan& plan, const Workspace& workspace,
                             Comparison& comparison, Show& show) {
  const std::vector<Combination> all = combinations(plan);
  for (std::size_t i = 0; i < all.size(); ++i) {
    show.measuring(name_of(all[i]), i + 1, all.size());
    auto outcome = measure(plan, all[i], workspace, i + 1);
    if (!outcome) return tl::unexpected(outcome.error());
    comparison.outcomes.push_back(std::move(*outcome));
    if ((i + 1) % plan.isolations.size() == 0) {
      set_ratios(comparison);
      show.group(comparison);
    }
  }
  return {};
}

bool write_file(const std::string& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  return static_cast<bool>(out.flush());
}

int write_and_judge(const Options& options, const Comparison& comparison) {
  const auto write = [](const std::string& file, auto&& make) {
    return file.empty() || write_file(file, make())
               ? kOk
               : complain("cannot write " + file + ": " + std::strerror(errno),
                          kBadInput);
  };
  int code =
      write(options.json, [&] { return nlohmann::json(comparison).dump(2) + "\n"; });
  if (code == kOk) code = write(options.html, [&] { return page(comparison); });
  if (code == kOk) code = write(options.markdown, [&] { return markdown(comparison); });
  return code != kOk ? code : judge(comparison).empty() ? kOk : kNotAsItMust;
}

int run(const Options& options) {
  Comparison comparison;
  Show show(report::Terminal::of(STDOUT_FILENO));
  if (!options.from.empty()) {
    std::ifstream in(options.from);
    if (!in) return complain("cannot read " + options.from, kBadInput);
    try {
      comparison = nlohmann::json::parse(in).get<Comparison>();
    } catch (const nlohmann::json::exception& e) {
      return complain(options.from + " is not what --json writes: " + e.what(),
                      kBadInput);
    }
    show.opening(comparison);
    show.group(comparison);
    show.closing(comparison);
    return write_and_judge(options, comparison);
  }

  const auto plan = read_plan(options.config, options.quick);
  if (!plan) return complain(plan.error().message, kBadInput);
  trial::become_reaper();
  const auto workspace = Workspace::make(*plan);
  if (!workspace) return complain(workspace.error().message, kBadInput);
  comparison.facts = report::read_facts();
  comparison.work = (*workspace)->description();
  comparison.baseline = plan->baseline;
  comparison.command = options.command;
  comparison.quick = options.quick;
  show.opening(comparison);
  const auto start = std::chrono::steady_clock::now();
  if (auto done = run_all(*plan, **workspace, comparison, show); !done) {
    return complain(done.error().message, done.error().code == carrel::Code::kCancelled
                                              ? kInterrupted
                                              : kBadInput);
  }
  comparison.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  show.closing(comparison);
  return write_and_judge(options, comparison);
}

}  // namespace

int main(int argc, char** argv) {
  // The program is its own measuring process; see measure.h.
  if (argc == 3 && std::strcmp(argv[1], "--cell") == 0) return run_cell(argv[2]);

  Options options;
  options.config =
      (fs::read_symlink("/proc/self/exe").parent_path() / "compare.toml").string();
  CLI::App app(
      "Runs the same work through every combination of queue, store and isolation.\n"
      "Exit code: 0 all as it must be, 1 a hash was wrong or right where it must not be "
      "or a\n"
      "combination failed, 2 bad input.");
  app.add_option("--config", options.config, "What to compare")->capture_default_str();
  app.add_flag("--quick", options.quick,
               "A few seconds: checks the results, says little about speed");
  app.add_option("--from", options.from,
                 "Show an earlier run that --json wrote, and measure nothing");
  app.add_option("--json", options.json, "Write every figure to this file");
  app.add_option("--html", options.html,
                 "Write a page with plots, that needs no other file");
  app.add_option("--markdown", options.markdown, "Write the tables for a README");
  if (const auto code = trial::parse(app, argc, argv)) return *code;
  if (auto ok = trial::check({options.json, options.html, options.markdown}, {}); !ok) {
    return complain(ok.error().message, kBadInput);
  }
  options.command = trial::same_run("compare", argc, argv);
  return run(options);
}
