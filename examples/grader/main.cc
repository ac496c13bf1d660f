// grader: runs what students hand in. Without a command it compares ways to do so.
#include <trial/program.h>

#include <CLI/CLI.hpp>
#include <cstring>

#include "compare.h"
#include "serve.h"
#include "trial.h"

int main(int argc, char** argv) {
  using namespace grader;
  // The program is its own trial process; see trial.h.
  if (argc == 3 && std::strcmp(argv[1], "--trial") == 0) return run_trial(argv[2]);

  CompareOptions compared;
  ServeOptions served;
  SubmitOptions submitted;
  std::string files = GRADER_FILES;
  CLI::App app(
      "Compiles and grades what students hand in, hostile or not: by system() in "
      "threads, "
      "in\nforked children, as programs, and in a sandbox; and tells what escaped.\nExit "
      "code: 0 all as it must be, 1 not so, 2 bad input, 4 no store, 77 no sandbox here.",
      "grader");
  app.add_option("--store", compared.stores,
                 "Where the grades are kept; several to compare them. By default "
                 "sqlite:grades.db");
  app.add_option("--at-once", compared.at_once, "Grades at the same time")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--wall", compared.wall_s, "Seconds that a submission may sleep")
      ->check(CLI::Range(5, 600))
      ->capture_default_str();
  app.add_flag("--quick", compared.quick,
               "Two minutes: checks the results, says little about speed");
  app.add_option("--json", compared.json, "Write every figure to this file");
  app.add_option("--html", compared.html, "Write a page with plots");
  app.add_option("--files", files, "The folder with submissions, problems and steps.toml")
      ->capture_default_str();
  auto* serving = app.add_subcommand("serve", "Be the daemon, until SIGTERM");
  serving->add_option("-c,--config", served.config, "Such as grader.toml")->required();
  serving->add_option("-n,--instances", served.instances, "Grades at the same time")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  auto* submitting = app.add_subcommand("submit", "Hand in, and wait for the verdict");
  submitting->add_option("-c,--config", submitted.config, "The daemon's")->required();
  submitting->add_option("-p,--problem", submitted.problem)->required();
  submitting->add_flag("--push", submitted.push,
                       "Re-grade: behind all pulls, no waiting");
  submitting->add_option("files", submitted.files)->required();
  if (const auto code = trial::parse(app, argc, argv)) return *code;
  if (*serving) {
    served.files = files;
    return serve(served);
  }
  if (*submitting) return submit(submitted);
  if (compared.quick) compared.rounds = 1;
  if (compared.quick && app.count("--wall") == 0) compared.wall_s = 10;
  if (compared.stores.empty()) compared.stores = {"sqlite:grades.db"};
  compared.files = files;
  compared.command = trial::same_run("grader", argc, argv);
  return compare(compared);
}
